"""Where items are: no two things share a key, whatever they are called."""

import string
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.administration import Invalid, check_account
from penstock.clock import day_of
from penstock.keys import mint, parse
from penstock.ledger import Account, Bound, Lease
from penstock.ledger.dynamodb import keys
from penstock.ledger.dynamodb.keys import ItemKey
from penstock.prices import Price
from tests.contract.samples import NOW

# As they are admitted, of few characters so that they meet: see `penstock.administration`, `penstock.models`.
accounts = st.text("aA0_-", min_size=1, max_size=3)
key_ids = st.text("aA0-", min_size=1, max_size=3)
models = st.from_regex(r"[a0][a0._:/-]{0,2}", fullmatch=True)
requests = st.text("aA0_", min_size=1, max_size=4)
times = st.sampled_from((NOW, NOW + 24 * 3_600_000))
files = st.text("aA0-", min_size=1, max_size=3).map("file-{}".format)
batches = st.text("aA0", min_size=1, max_size=3).map("batch_{}".format)
numbers = st.integers(0, 999_999)
texts = st.text(string.printable, max_size=3)  # the caller's own


def lease(request_id: str, account_id: str, key_id: str, model: str, at: int) -> Lease:
    return Lease(request_id, account_id, key_id, model, Bound(1, 1), Price("v", 1, 1, 1), at, at)


Named = tuple[tuple[object, ...], ItemKey]


def named(kind: str, of: Callable[..., ItemKey], *parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Named]:
    """What a thing is, and where it is."""
    return st.tuples(*parts).map(lambda names: ((kind, *names), of(*names)))


sums = st.builds(lease, requests, accounts, key_ids, models, times).map(
    lambda one: (
        ("sum", one.account_id, one.key_id, one.model, one.day, keys.sum_key(one)["sk"].rpartition("#")[2]),
        keys.sum_key(one),
    )
)
things: st.SearchStrategy[Named] = st.one_of(
    named("account", keys.account_key, accounts),
    named("listed account", keys.listed_account, accounts),
    named("key", keys.key_key, key_ids),
    named("listed key", keys.listed_key, accounts, key_ids),
    named("request", keys.request_key, requests),
    named("answer", keys.answer_key, accounts, texts),
    sums,
    named("file", keys.file_key, accounts, files),
    named("batch", keys.batch_key, batches),
    named("listed batch", keys.listed_batch, accounts, batches),
    named("open batch", keys.open_batch, batches),
    named("shard", keys.shard_key, batches, numbers),
    st.just((("switch",), keys.SWITCH)),
    st.just((("schema",), keys.SCHEMA)),
)


@given(things, things)
def test_two_things_share_a_key_only_if_they_are_the_same(one: Named, other: Named) -> None:
    assert (one[1] == other[1]) == (one[0] == other[0])


@given(things)
def test_a_key_is_two_strings_none_of_which_is_empty(thing: Named) -> None:
    assert thing[1].keys() == {"pk", "sk"}
    assert all(thing[1].values())


@pytest.mark.parametrize("account_id", ["a#b", "a/b", "a b", "ä", "", "a\n", "a" * 65])
def test_an_account_whose_id_could_be_mistaken_is_not_made(account_id: str) -> None:
    with pytest.raises(Invalid):
        check_account(Account(account_id, "", NOW))


@pytest.mark.parametrize("key_id", ["a#b", "a.b", "a_b"])
def test_an_api_key_whose_id_could_be_mistaken_has_no_form(key_id: str) -> None:
    key = mint()
    assert parse(key.reveal()) is not None
    assert parse(replace(key, id=key.id[: -len(key_id)] + key_id).reveal()) is None


@given(st.builds(lease, requests, accounts, key_ids, models, times))
def test_a_sum_lies_among_those_of_its_day_and_tells_its_parts(one: Lease) -> None:
    key = keys.sum_key(one)
    assert key["pk"] == keys.usage_of(one.account_id)
    assert day_of(one.reserved_at) <= key["sk"] <= f"{day_of(one.reserved_at)}$"
    day, key_id, model, shard = key["sk"].split("#")
    assert (day, key_id, model) == (one.day, one.key_id, one.model)
    assert 0 <= int(shard) < keys.SHARDS


@given(batches, numbers, numbers)
def test_shards_are_in_the_order_of_their_numbers(batch: str, one: int, other: int) -> None:
    assert (keys.shard_key(batch, one)["sk"] < keys.shard_key(batch, other)["sk"]) == (one < other)


def test_requests_are_spread_over_all_shards_of_a_sum() -> None:
    leases = [lease(f"req_{number}", "acme", "k", "demo", NOW) for number in range(200)]
    assert len({keys.sum_key(one)["sk"] for one in leases}) == keys.SHARDS


def test_the_callers_own_text_is_in_no_key() -> None:
    assert "secret#text" not in str(keys.answer_key("acme", "secret#text"))
