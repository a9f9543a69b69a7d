"""The ledger's records: numbers that make no sense are refused where they are made."""

from dataclasses import fields, replace

import pytest

from penstock.ledger import ADMIN, MAX_ANSWER, Bound, Key, Lease, LimitName, Limits, Standing, StoredAnswer, Usage
from penstock.ledger.records import MOST, MOST_REQUESTS
from penstock.prices import Price


@pytest.mark.parametrize("limit", [-1, MOST + 1])
@pytest.mark.parametrize("name", [field.name for field in fields(Limits)])
def test_a_limit_is_a_number_that_can_be_counted_to(name: str, limit: int) -> None:
    with pytest.raises(ValueError, match=f"{name} must be from 0 to"):
        Limits(**{name: limit})
    Limits(**{name: 0})
    Limits(**{name: MOST})


@pytest.mark.parametrize(("tokens", "nano"), [(-1, 0), (0, -1), (MOST + 1, 0), (0, MOST + 1)])
def test_a_bound_is_never_negative(tokens: int, nano: int) -> None:
    with pytest.raises(ValueError, match="not a bound"):
        Bound(tokens, nano)


def test_a_bound_is_within_another_in_both_measures_or_not_at_all() -> None:
    assert Bound(1, 1).within(Bound(1, 1))
    assert not Bound(2, 1).within(Bound(1, 9))
    assert not Bound(1, 2).within(Bound(9, 1))


@pytest.mark.parametrize("requests", [-1, 0, MOST_REQUESTS + 1])
def test_a_lease_stands_for_a_number_of_requests(requests: int) -> None:
    lease = Lease("r", "a", "k", "m", Bound(1, 1), Price("v1", 1, 1, 1), reserved_at=0, deadline=1)
    assert lease.requests == 1
    assert replace(lease, requests=MOST_REQUESTS).requests == MOST_REQUESTS
    with pytest.raises(ValueError, match=f"stands for 1 to {MOST_REQUESTS} requests, not {requests}"):
        replace(lease, requests=requests)


@pytest.mark.parametrize(("prompt", "cached", "completion"), [(-1, 0, 0), (1, 2, 0), (1, -1, 0), (0, 0, -1)])
def test_usage_is_a_count_of_tokens(prompt: int, cached: int, completion: int) -> None:
    with pytest.raises(ValueError, match="not a count"):
        Usage(prompt, cached, completion)


@pytest.mark.parametrize(("spent", "reserved", "remaining"), [(0, 0, 10), (3, 4, 3), (10, 0, 0), (9, 9, 0)])
def test_what_remains_is_never_below_zero(spent: int, reserved: int, remaining: int) -> None:
    assert Standing(10, spent, reserved).remaining == remaining


def test_a_key_is_usable_until_it_is_revoked_or_expires() -> None:
    def key(expires_at: int | None, revoked_at: int | None) -> Key:
        return Key("k", "a", "n", "d", 0, expires_at=expires_at, revoked_at=revoked_at)

    assert key(None, None).usable(10)
    assert key(11, 11).usable(10)
    assert not key(10, None).usable(10)
    assert not key(None, 10).usable(10)


def test_a_scope_names_the_models_a_key_may_use() -> None:
    assert Key("k", "a", "n", "d", 0).may_use("demo")
    assert Key("k", "a", "n", "d", 0, models=frozenset({"demo"})).may_use("demo")
    assert not Key("k", "a", "n", "d", 0, models=frozenset()).may_use("demo")


def test_a_key_calls_everything_but_administration_unless_its_scope_names_it() -> None:
    every = Key("k", "a", "n", "d", 0)
    assert every.may_call("chat")
    assert not every.may_call(ADMIN)
    narrow = Key("k", "a", "n", "d", 0, routes=frozenset({ADMIN}))
    assert narrow.may_call(ADMIN)
    assert not narrow.may_call("chat")
    assert not Key("k", "a", "n", "d", 0, routes=frozenset()).may_call("chat")


def test_every_limit_has_its_name_and_two_are_budgets_of_the_month() -> None:
    assert {name.value for name in LimitName} == {field.name for field in fields(Limits)}
    assert {name for name in LimitName if name.monthly} == {LimitName.MONTHLY_BUDGET, LimitName.MONTHLY_TOKENS}


def test_an_answer_too_large_to_store_is_refused() -> None:
    StoredAnswer(200, "text/plain", b"x" * MAX_ANSWER)
    with pytest.raises(ValueError, match=f"an answer of {MAX_ANSWER + 1} bytes is over {MAX_ANSWER}"):
        StoredAnswer(200, "text/plain", b"x" * (MAX_ANSWER + 1))
