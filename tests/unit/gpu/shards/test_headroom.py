"""Half of each limit is left to requests; a line that needs more than half alone gets it while less is taken."""

import pytest

from functions.gpu.shards.headroom import Headroom, headroom, limited, one_by_one
from penstock.ledger import Account, Caller, Key, LimitName, Limits, Standing, Standings
from penstock.ledger.records import MOST

REQUESTS, TOKENS, AT_ONCE = (
    LimitName.REQUESTS_PER_MINUTE,
    LimitName.TOKENS_PER_MINUTE,
    LimitName.CONCURRENT_REQUESTS,
)


def caller(account: Limits | None = None, key: Limits | None = None) -> Caller:
    return Caller(
        Account("acme", "Acme", 1, limits=account or Limits()),
        Key("k", "acme", "k", "0" * 64, 1, limits=key or Limits()),
    )


@pytest.mark.parametrize(
    ("standings", "room"),
    [
        ({}, Headroom(MOST, MOST)),
        ({LimitName.MONTHLY_BUDGET: Standing(10, 9, 0)}, Headroom(MOST, MOST)),
        ({REQUESTS: Standing(100, 0, 0)}, Headroom(50, MOST)),
        ({REQUESTS: Standing(100, 20, 10)}, Headroom(20, MOST)),
        ({REQUESTS: Standing(100, 50, 0)}, Headroom(0, MOST)),
        ({REQUESTS: Standing(100, 90, 20)}, Headroom(0, MOST)),
        ({REQUESTS: Standing(1, 0, 0)}, Headroom(1, MOST)),
        ({TOKENS: Standing(1_000, 0, 400)}, Headroom(MOST, 100)),
        ({TOKENS: Standing(1_000, 300, 0), REQUESTS: Standing(10, 1, 1)}, Headroom(3, 200)),
        ({AT_ONCE: Standing(10, 0, 4)}, Headroom(MOST, MOST)),
        ({AT_ONCE: Standing(10, 0, 5)}, Headroom(0, 0)),
        ({AT_ONCE: Standing(1, 0, 0)}, Headroom(MOST, MOST)),
        ({AT_ONCE: Standing(1, 0, 1)}, Headroom(0, 0)),
        ({AT_ONCE: Standing(0, 0, 0)}, Headroom(0, 0)),
    ],
)
def test_what_is_left_for_a_batch(standings: Standings, room: Headroom) -> None:
    assert headroom(standings) == room


@pytest.mark.parametrize(("room", "some"), [(Headroom(), True), (Headroom(0, 5), False), (Headroom(5, 0), False)])
def test_whether_there_is_any(room: Headroom, some: bool) -> None:
    assert room.any is some


def test_who_is_limited() -> None:
    assert not limited(caller())
    assert not limited(caller(Limits(monthly_budget=1, monthly_tokens=1)))
    assert limited(caller(key=Limits(tokens_per_minute=1)))
    assert limited(caller(Limits(concurrent_requests=0)))


def test_whose_lines_are_reserved_one_by_one() -> None:
    assert not one_by_one(caller(Limits(requests_per_minute=1)))
    assert one_by_one(caller(Limits(concurrent_requests=5)))
    assert one_by_one(caller(key=Limits(concurrent_requests=5)))
