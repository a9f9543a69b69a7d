"""The choice of faults: by the seed, at the rate, and none that an operation cannot have."""

import pytest

from tests.servers.faults import DATA_PLANE, READS, Fault, Faults


def chosen(faults: Faults, operation: str = "UpdateItem", requests: int = 500) -> list[Fault | None]:
    return [faults.choose(operation) for _ in range(requests)]


def test_a_seed_repeats_its_choices_and_another_one_makes_others() -> None:
    assert chosen(Faults(1)) == chosen(Faults(1))
    assert chosen(Faults(1)) != chosen(Faults(2))


@pytest.mark.parametrize(("rate", "at_least", "at_most"), [(0.0, 0, 0), (0.2, 50, 150), (1.0, 500, 500)])
def test_as_many_requests_fail_as_the_rate_says(rate: float, at_least: int, at_most: int) -> None:
    faults = Faults(7, rate=rate)
    failed = sum(fault is not None for fault in chosen(faults))
    assert at_least <= failed <= at_most
    assert faults.done.total() == failed


@pytest.mark.parametrize("operation", sorted(READS | {"BatchWriteItem"}))
def test_what_no_transaction_can_hold_up_has_no_conflict(operation: str) -> None:
    faults = chosen(Faults(0, rate=1.0), operation)
    assert set(faults) == set(Fault) - {Fault.CONFLICT}
    assert set(chosen(Faults(0, rate=1.0, only=frozenset({Fault.CONFLICT})), operation)) == {None}


@pytest.mark.parametrize("operation", ["CreateTable", "DescribeTable", "UpdateTimeToLive", "DescribeTimeToLive", ""])
def test_an_operation_on_a_table_never_fails(operation: str) -> None:
    assert operation not in DATA_PLANE
    assert set(chosen(Faults(0, rate=1.0), operation)) == {None}
