"""The ledger does what a plain model of it does, whatever is called in whatever order, as time passes.

A plan is a list of steps about a few leases of one account with two keys, which collide: reservations of
every size, of one request or several, repeated calls, second attempts, checkpoints that come too late,
settlements that come twice or after the lease was closed, holders that go away, changes of limits, keys that
end. It begins a minute before a month does. Callers' clocks differ by seconds.

What no plan does, as no caller of the protocol may: to claim or settle what was not granted (a ticket proves
it), and to reserve a lease again once it was claimed, settled, released or expired.
"""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from random import Random

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.clock import MINUTE, SECOND
from penstock.ledger import Bound, Ledger, Limits
from penstock.ledger.sqlite import SqliteLedger
from tests.contract.model import Model
from tests.contract.samples import enrol
from tests.contract.trial import Slot, Step, Trial

pytestmark = pytest.mark.anyio

BEGIN = int(datetime(2026, 3, 31, 23, 59, 5, tzinfo=UTC).timestamp()) * SECOND
WIDE = Limits(tokens_per_minute=100_000, monthly_budget=10**9)
ROOMY = (Limits(), Limits(tokens_per_minute=100_000, monthly_budget=10**9), Limits(monthly_tokens=2_000))
NARROW = (
    Limits(requests_per_minute=3, monthly_budget=1_000_000),
    Limits(tokens_per_minute=250, concurrent_requests=3),
    Limits(monthly_budget=520_000, monthly_tokens=360),
    Limits(concurrent_requests=1, monthly_tokens=500),
    Limits(
        requests_per_minute=4,
        tokens_per_minute=350,
        concurrent_requests=2,
        monthly_budget=850_000,
        monthly_tokens=440,
    ),
    Limits(requests_per_minute=0),
)
RESERVED = (Bound(100, 200_000), Bound(100, 200_000), Bound(60, 200_000), Bound(100_001, 200_000))
CLAIMED = (Bound(100, 200_000), Bound(80, 160_000), Bound(80, 160_000), Bound(60, 200_000))
WAITS = (1, 5, 20, 41, 51, 60, 130)  # seconds
SLOTS = 3
PHRASES = 30
WEIGHTS = {
    "reserve": 7,
    "claim": 5,
    "checkpoint": 5,
    "settle": 4,
    "release": 1,
    "crash": 1,
    "expire": 2,
    "wait": 4,
    "limit_account": 1,
    "limit_key": 1,
    "look": 1,
    "turn": 1,
    "revoke": 0.2,
    "end_key": 0.2,
    "death": 3,
}


def any_limits(chance: Random) -> Limits:
    """More often those that leave room."""
    return chance.choice(ROOMY if chance.random() < 0.6 else NARROW)


def phrase(chance: Random) -> list[Step]:
    """What happens next: mostly one step."""
    (verb,) = chance.choices(list(WEIGHTS), weights=list(WEIGHTS.values()))
    slot = chance.randrange(SLOTS)
    if verb == "death":
        return death(slot, chance)
    if verb == "turn":
        return [Step(verb), Step("reserve", slot), Step(verb)]
    one = Step(
        verb,
        slot=1 if verb in ("revoke", "end_key") else slot,  # one key stays
        attempt=chance.choice("aaab"),
        bound=chance.choice(RESERVED if verb == "reserve" else CLAIMED),
        requests=chance.choice((1, 1, 1, 2, 5)),
        completion_tokens=chance.randint(0, chance.choice((57, 105))),  # some are over what is set aside
        limits=any_limits(chance),
        seconds=chance.choice(WAITS) if verb in ("wait", "end_key") else chance.randint(-3, 3),
        twice=chance.random() < 0.25,
        forsaken=chance.random() < 0.25,
    )
    return [one]


def death(slot: int, chance: Random) -> list[Step]:
    """A request whose holder is thought dead, and settles after all, or is replaced: rare by chance alone."""
    first, second, last = (chance.randint(0, 57) for _ in range(3))
    whole = [
        Step("reserve", slot, requests=chance.choice((1, 3))),
        Step("claim", slot, bound=chance.choice(CLAIMED)),
        Step("checkpoint", slot, completion_tokens=first),
        Step("checkpoint", slot, completion_tokens=second),
        Step("wait", seconds=chance.choice((39, 41, 41))),
        chance.choice((Step("expire"), Step("claim", slot, "b", CLAIMED[-1]))),
        Step("settle", slot, completion_tokens=last),
    ]
    return [step for step in whole if chance.random() < 0.9]


names = (f"account{number}" for number in itertools.count())
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture
async def audited(ledger: Ledger) -> AsyncIterator[Ledger]:
    """The ledger, which must add up after all plans, in the month in which they begin and in the next."""
    yield ledger
    for now in (BEGIN, BEGIN + 60 * MINUTE):
        assert (await ledger.audit(now)).findings == ()


async def follows_the_model(ledger: Ledger, seed: int) -> None:
    """Carry out the plan of that seed on an account of its own."""
    chance = Random(seed)
    wide = await enrol(ledger, account=any_limits(chance), name=next(names))
    narrow = replace(wide, key=replace(wide.key, id=f"{wide.key.id}-2", limits=any_limits(chance)))
    await ledger.create_key(narrow.key)
    model = Model(wide.account, wide.key, narrow.key, always_shrinks=isinstance(ledger, SqliteLedger))
    trial = Trial(ledger, model, [wide, narrow], BEGIN, [Slot() for _ in range(SLOTS)])
    await trial.run(step for _ in range(PHRASES) for step in phrase(chance))


def plans(count: int) -> settings:
    """So many. There is nothing to shrink about a seed: the message shows the last calls."""
    return settings(
        max_examples=count,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@plans(60)
@given(seed=seeds)
async def test_the_sqlite_ledger_does_what_the_model_does(audited: Ledger, seed: int) -> None:
    await follows_the_model(audited, seed)


@pytest.mark.parametrize("ledger_url", ["dynamodb"], indirect=True)
@plans(20)
@given(seed=seeds)
async def test_the_dynamodb_ledger_does_what_the_model_does(audited: Ledger, seed: int) -> None:
    await follows_the_model(audited, seed)
