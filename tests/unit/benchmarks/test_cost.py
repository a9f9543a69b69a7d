"""Costs follow from sizes: reserve and release on the account's item, claim, and the transaction at twice the units."""

import pytest

from benchmarks.ledger.accounts import AccountItem, ItemSizes
from benchmarks.ledger.cost import (
    Line,
    dollars,
    idempotency_units,
    look_up_units,
    request_units,
    requests_per_second,
    storage_dollars,
)

ITEMS = ItemSizes(key=256, record=460, total=132, entry=250, body=1_130)


def account(live: int, size: int) -> AccountItem:
    return AccountItem(keys=1, live=live, size=size, emulator_units=0, cpu_s=0)


def test_a_small_account_s_request_is_seven_units() -> None:
    # reserve 1, claim 1, record and sum in a transaction 2 x 2, release 1
    assert request_units(600, ITEMS) == 7
    assert request_units(600, ITEMS, checkpoints=3) == 10
    assert request_units(60 * 1_024, ITEMS) == 7 + 2 * 59


def test_an_idempotency_key_is_written_twice_and_its_answer_once() -> None:
    assert idempotency_units(ITEMS) == 2 * 1 + 2


def test_a_look_up_reads_the_key_twice_and_the_whole_account() -> None:
    assert look_up_units(600, ITEMS) == 3
    assert look_up_units(60 * 1_024, ITEMS) == 2 + 15


def test_a_million_of_seven_units_costs_seven_times_the_price_of_a_million_units() -> None:
    assert dollars(7, 0.5) == 3.5


def test_an_account_carries_what_its_partition_writes() -> None:
    assert requests_per_second(1_024) == 500
    assert requests_per_second(1_025) == 250


def test_records_are_stored_for_three_months() -> None:
    # 560 MB of them, with what DynamoDB adds to each
    assert storage_dollars(ITEMS) == pytest.approx(0.56e9 / 2**30 * 3 * 0.25)


def test_a_line_goes_through_both_items() -> None:
    line = Line.through(account(1, 560), account(1_001, 50_560))
    assert (line.size(1), line.size(1_001)) == (560, 50_560)
    assert line.size(0) == 510


@pytest.mark.parametrize("seconds", [0.1, 1, 10, 100])
def test_the_most_that_an_account_carries_is_carried_and_one_more_is_not(seconds: float) -> None:
    line = Line(empty=510, each=50)
    rate = line.most_per_second(seconds)
    assert rate <= requests_per_second(line.size(rate * seconds))
    assert rate + 1 > requests_per_second(line.size((rate + 1) * seconds))


def test_the_largest_item_holds_so_many_leases() -> None:
    line = Line(empty=509, each=50)
    assert line.size(line.most_live()) <= 400 * 1_024 < line.size(line.most_live() + 1)
