"""What an account's item says: live leases as text, counts by minute and month, and which of them are old."""

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from penstock.admission import new_request_id
from penstock.clock import MINUTE, SECOND, minute_of
from penstock.ledger import Account, Bound, Caller, Key, Lease, Limits
from penstock.ledger.dynamodb.keys import account_key
from penstock.ledger.dynamodb.meter import (
    Member,
    Names,
    live_of,
    member_name,
    request_id_of,
    stale,
    windows,
)
from penstock.ledger.limits import Amount, Taken
from penstock.ledger.records import MOST, MOST_REQUESTS
from penstock.prices import Price

NOW = int(datetime(2026, 3, 10, 12, 0, 10, tzinfo=UTC).timestamp()) * SECOND
NEW_YEAR = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * SECOND
SETTINGS = {
    **account_key("acme"),
    "id": "acme",
    "name": "r12",
    "created_at": 1,
    "on": True,
    "keep_answers": True,
    "limits": {},
    "revision": 1,
    "live": {},
    "late": {},
}

key_ids = st.from_regex(r"[A-Za-z0-9.-]{1,32}", fullmatch=True)
times = st.integers(0, 4 * 10**12)
bounds = st.builds(Bound, st.integers(0, MOST), st.integers(0, MOST))
members = st.builds(Member, key_ids, times, times, bounds, st.just(1) | st.integers(1, MOST_REQUESTS))


@given(members)
def test_a_live_lease_is_read_as_it_was_written(member: Member) -> None:
    assert Member.parse(member.text()) == member


def test_the_form_of_a_live_lease_is_pinned() -> None:
    """Programs of before and after a release read the same item: one request is written as it always was."""
    one = Member("a1B2c3D4e5F6", NOW, NOW + 5 * MINUTE, Bound(8_192, 16_384_000))
    assert one.text() == "mmkk5uds.6fhc.6bk.9r5z4.a1B2c3D4e5F6"
    assert replace(one, requests=64).text() == "1s*mmkk5uds.6fhc.6bk.9r5z4.a1B2c3D4e5F6"


def test_a_live_lease_of_a_usual_size_takes_few_bytes() -> None:
    member = Member("a1B2c3D4e5F6", NOW, NOW + 5 * MINUTE, Bound(8_192, 16_384_000))
    assert len(member.text()) <= 40


@given(st.text(min_size=1).filter(lambda text: not text.startswith("req_")) | st.just(new_request_id()))
def test_a_request_is_found_by_its_name_in_the_map(request_id: str) -> None:
    assert request_id_of(member_name(request_id)) == request_id


def test_an_id_of_ours_is_kept_without_what_all_begin_with() -> None:
    assert member_name("req_abc") == "abc"


def test_a_request_counts_for_its_account_and_its_key_by_minute_and_by_month() -> None:
    names, minute = Names.at(NOW, "k1"), minute_of(NOW)
    assert names.changes(Amount(1, 20, 300, 20), live=1) == {
        f"r{minute}": 1,
        f"t{minute}": 20,
        "n202603": 300,
        "m202603": 20,
        f"r{minute}.k1": 1,
        f"t{minute}.k1": 20,
        "n202603.k1": 300,
        "m202603.k1": 20,
        "c.k1": 1,
    }


def test_what_is_nothing_is_not_written_and_a_minute_that_is_dropped_is_not_begun_again() -> None:
    names = Names.at(NOW, "k1")
    assert names.changes(Amount(0, -20, 0, -20), live=-1, minutes=False) == {
        "m202603": -20,
        "m202603.k1": -20,
        "c.k1": -1,
    }


def test_what_is_set_aside_is_the_sum_of_the_live_leases_and_what_is_spent_is_the_rest() -> None:
    ours, others = Names.at(NOW, "k1"), Names.at(NOW, "k10")
    before = Names.at(NOW - MINUTE, "k1")
    item: dict[str, object] = dict(SETTINGS)
    for names, amount in (
        (ours, Amount(3, 100, 1_000, 100)),
        (others, Amount(1, 10, 100, 10)),
        (before, Amount(2, 50, 500, 50)),
    ):
        for name, number in names.changes(amount).items():
            item[name] = int(str(item.get(name, 0))) + number
    live = {
        "a": Member("k1", NOW, NOW, Bound(60, 600)),
        "b": Member("k10", NOW, NOW, Bound(10, 100)),
        "c": Member("k1", NOW - MINUTE, NOW, Bound(50, 500)),
    }
    item["live"] = {name: member.text() for name, member in live.items()}
    assert live_of(item) == live

    caller = Caller(Account("acme", "", 0), Key("k1", "acme", "", "", 0))
    taken = windows(item, caller, NOW)
    assert taken.account == Taken(Amount(2, 40, 400, 40), Amount(2, 70, 1_200, 120), 3)
    assert taken.key == Taken(Amount(2, 40, 400, 40), Amount(1, 60, 1_100, 110), 2)


def test_a_minute_that_was_dropped_while_a_request_of_it_ran_counts_nothing_below_zero() -> None:
    item = SETTINGS | {"live": {"a": Member("k1", NOW, NOW, Bound(60, 600)).text()}}
    taken = windows(item, Caller(Account("acme", "", 0), Key("k1", "acme", "", "", 0)), NOW)
    assert taken.account.spent == taken.key.spent == Amount(0, 0, 0, 0)
    assert taken.account.reserved == Amount(1, 60, 600, 60)


@given(key_ids, st.integers(-5, 5))
def test_counts_of_the_last_minutes_are_kept_and_those_before_are_old(key_id: str, ago: int) -> None:
    counts = Names.at(NOW - ago * MINUTE, key_id).changes(Amount(1, 1, 0, 0))
    assert sorted(stale({**SETTINGS, **counts}, NOW)) == (sorted(counts) if ago > 2 else [])


@given(key_ids)
def test_counts_of_this_month_and_the_last_are_kept_and_those_before_are_old(key_id: str) -> None:
    def of(year: int, month: int) -> dict[str, int]:
        at = int(datetime(year, month, 15, tzinfo=UTC).timestamp()) * SECOND
        return Names.at(at, key_id).changes(Amount(0, 0, 1, 1))

    kept = of(2026, 1) | of(2025, 12)
    old = of(2025, 11) | of(2025, 2) | of(2024, 12)
    assert sorted(stale({**SETTINGS, **kept, **old}, NEW_YEAR)) == sorted(old)


@given(key_ids, times)
def test_nothing_but_counts_is_ever_old(key_id: str, now: int) -> None:
    assert stale({**SETTINGS, Names.at(0, key_id).live_of_key: 1}, now) == []


def test_limits_are_told_from_the_counts() -> None:
    caller = Caller(Account("acme", "", 0, limits=Limits(tokens_per_minute=100)), Key("k1", "acme", "", "", 0))
    item = SETTINGS | Names.at(NOW, "k1").changes(Amount(1, 90, 0, 90))
    lease = Lease("r", "acme", "k1", "demo", Bound(10, 0), Price("v", 1, 1, 1), NOW, NOW + MINUTE)
    refused = windows(item, caller, NOW).refusal(replace(lease, bound=Bound(11, 0)))
    assert refused is not None
    assert (refused.standing.spent, refused.standing.reserved, refused.requested) == (90, 0, 11)
    assert windows(item, caller, NOW).refusal(lease) is None
