"""Expressions: each placeholder that is used is declared, and none is declared that is not used.

DynamoDB refuses a request in which either is otherwise ("Value provided in ExpressionAttributeNames unused in
expressions").
"""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.clock import minute_of
from penstock.ledger import Account, Bound, Caller, Key, Lease, Limits, Usage
from penstock.ledger.dynamodb.claim import _checkpoint
from penstock.ledger.dynamodb.expression import Update, both, either
from penstock.ledger.dynamodb.keys import account_key
from penstock.ledger.dynamodb.request import counted, owed
from penstock.ledger.dynamodb.reserve import _DROPPED_AT_ONCE, _reservation
from penstock.ledger.dynamodb.settle import Settlement, added
from penstock.ledger.limits import Amount
from penstock.ledger.records import MOST
from penstock.prices import Price
from tests.contract.samples import NOW

LONGEST_EXPRESSION = 4_096  # bytes, as DynamoDB takes it
MOST_OPERATORS = 300

names = st.text("abc.#: -", min_size=1, max_size=4)
numbers = st.integers(-MOST, MOST)
actions: st.SearchStrategy[Callable[[Update], object]] = st.one_of(
    st.builds(lambda name, number: lambda update: update.set(**{name: number}), names, numbers),
    st.builds(lambda name, number: lambda update: update.add({name: number}), names, numbers),
    st.builds(lambda name: lambda update: update.remove((name,), ("live", name)), names),
    st.builds(lambda name, number: lambda update: update.set_at(("live", name), number), names, numbers),
    st.builds(lambda name, number: lambda update: update.set_once(name, number), names, numbers),
    st.builds(lambda name: lambda update: update.where(update.exists(name), update.absent("live", name)), names),
    st.builds(
        lambda name, number: (
            lambda update: update.where(
                either(update.room(name, number), both(update.equals(name, to=number), update.at_least(name, number)))
            )
        ),
        names,
        numbers,
    ),
    st.builds(lambda number: lambda update: update.where(update.smaller("live", number)), numbers),
)
limits = st.builds(Limits, *[st.none() | st.integers(0, MOST)] * 5)
LEASE = Lease("req_1", "acme", "acme-key", "demo", Bound(100, 200_000), Price("v", 1, 1, 1), NOW, NOW + 1)


def sound(update: Update) -> dict[str, Any]:
    """The request, whose placeholders are those that it declares."""
    request = update.request()
    text = " ".join((request["UpdateExpression"], request.get("ConditionExpression", "")))
    assert set(re.findall(r"#\w+", text)) == set(request.get("ExpressionAttributeNames", ()))
    assert set(re.findall(r":\w+", text)) == set(request.get("ExpressionAttributeValues", ()))
    return request


@given(st.lists(actions, min_size=1, max_size=8))
def test_what_is_declared_is_what_is_used(chosen: list[Callable[[Update], object]]) -> None:
    update = Update(account_key("acme"))
    for action in chosen:
        action(update)
    sound(update)


def test_a_name_is_never_part_of_the_syntax() -> None:
    update = Update(account_key("acme"))
    update.set_at(("live", "a.b"), "x").where(update.absent("live", "a.b"))
    assert update.request() == {
        "Key": {"pk": {"S": "account#acme"}, "sk": {"S": "-"}},
        "UpdateExpression": "SET #0.#1 = :0",
        "ConditionExpression": "attribute_not_exists(#0.#1)",
        "ExpressionAttributeNames": {"#0": "live", "#1": "a.b"},
        "ExpressionAttributeValues": {":0": {"S": "x"}},
    }


@pytest.mark.parametrize("nothing", [Update(account_key("acme")), Update(account_key("acme")).where("#x")])
def test_an_update_says_whether_it_changes_anything(nothing: Update) -> None:
    assert not nothing.changes_anything
    assert nothing.remove(("a",)).changes_anything


@given(limits, limits, st.integers(0, MOST))
def test_a_reservation_is_sound_and_within_dynamodbs_bounds(of_account: Limits, of_key: Limits, tokens: int) -> None:
    caller = Caller(Account("acme", "", 0, limits=of_account), Key("acme-key", "acme", "", "", 0, limits=of_key))
    minute = minute_of(NOW)
    old = [f"{kind}{minute - ago}.{'k' * 32}" for kind in "rt" for ago in range(3, 3 + _DROPPED_AT_ONCE // 2)]
    lease = replace(LEASE, bound=Bound(tokens, MOST))
    request = sound(_reservation(caller, lease, [*old, f"r{minute}"]))
    for expression in ("UpdateExpression", "ConditionExpression"):
        assert len(request[expression]) <= LONGEST_EXPRESSION
    # No path is written twice, which DynamoDB refuses: a count that this request adds to is not dropped.
    written = re.findall(r"#\d+(?:\.#\d+)?", request["UpdateExpression"])
    assert len(written) == len(set(written))
    assert len(re.findall(r" AND | OR |[<>=]|\w\(", request["ConditionExpression"])) <= MOST_OPERATORS


@given(st.integers(0, 100), st.integers(0, 100))
def test_the_writes_of_a_request_are_sound(prompt: int, completion: int) -> None:
    usage = Usage(prompt, prompt // 2, completion)
    amount = Amount(1, usage.total_tokens, 1, usage.total_tokens)
    settlement = Settlement(LEASE, usage, "stop", NOW)
    sound(settlement.record().set(**counted(amount)))
    sound(settlement.record().set(**owed(amount)))
    sound(added(LEASE, 1, usage, 1, Usage(1, 0, 5)))
    sound(_checkpoint(LEASE, "a", usage, settlement.bound, NOW))
