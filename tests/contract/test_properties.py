"""The ledger does what a plain model of it does, whatever is called in whatever order, as time passes.

A plan is a list of steps about a few requests of one account with two keys, which collide: reservations of
every size, repeated calls, second attempts, checkpoints that come too late, settlements that come twice or
after the lease was closed, holders that go away, changes of limits, keys that end. It begins a minute
before a month does. Callers' clocks differ by seconds.

What no plan does, as no caller of the protocol may: to claim or settle what was not granted (a ticket proves
it), and to reserve a lease again once it was claimed, settled, released or expired.
"""

import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime

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
LIMITS = (
    Limits(),
    WIDE,
    Limits(requests_per_minute=3, monthly_budget=1_000_000),
    Limits(tokens_per_minute=250, concurrent_requests=3),
    Limits(monthly_budget=520_000, monthly_tokens=260),
    Limits(concurrent_requests=1, monthly_tokens=400),
    Limits(
        requests_per_minute=4,
        tokens_per_minute=350,
        concurrent_requests=2,
        monthly_budget=650_000,
        monthly_tokens=340,
    ),
    Limits(requests_per_minute=0),
)
BOUNDS = (Bound(100, 200_000), Bound(80, 160_000), Bound(60, 200_000), Bound(100_001, 200_000))
SLOTS = 3

slots = st.integers(0, SLOTS - 1)
attempts = st.sampled_from("aab")
bounds = st.sampled_from(BOUNDS)
tokens = st.integers(0, 60) | st.integers(0, 105)  # some are over what a claim leaves, and some over what was reserved
skews = st.integers(-3, 3)
rarely = st.sampled_from((False, False, False, True))


def step(verb: str, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[Step]:
    """A step of that verb about one of the slots."""
    return st.builds(Step, st.just(verb), slots, **fields)


changes = st.one_of(
    step("limit_account", limits=st.sampled_from(LIMITS)),
    step("limit_key", limits=st.sampled_from(LIMITS)),
    step("look"),
    st.one_of(step("turn"), step("revoke"), step("end_key", seconds=st.sampled_from((-5, 30, 100)))),
)
checkpoints = step(
    "checkpoint", attempt=attempts, completion_tokens=tokens, seconds=skews, twice=rarely, forsaken=rarely
)
steps = st.one_of(
    step("reserve", bound=bounds, twice=rarely),
    step("reserve"),
    step("claim", attempt=attempts, bound=bounds, seconds=skews, twice=rarely, forsaken=rarely),
    step("claim"),
    checkpoints,
    checkpoints,
    step("settle", completion_tokens=tokens, seconds=skews, twice=rarely),
    step("settle", completion_tokens=tokens, seconds=skews, forsaken=st.just(True)),
    step("release", seconds=skews, twice=rarely),
    step("crash"),
    step("expire", seconds=skews, twice=rarely),
    step("wait", seconds=st.sampled_from((1, 5, 20, 41))),
    step("wait", seconds=st.sampled_from((41, 51, 60, 130))),
    changes,
)


def death(slot: int, first: int, second: int, last: int) -> list[Step]:
    """A request whose holder is thought dead, and settles after all: rare by chance alone."""
    return [
        Step("reserve", slot),
        Step("claim", slot),
        Step("checkpoint", slot, completion_tokens=first),
        Step("checkpoint", slot, completion_tokens=second),
        Step("wait", seconds=41),
        Step("expire"),
        Step("settle", slot, completion_tokens=last),
    ]


one = steps.map(lambda step: [step])
deaths = st.builds(death, slots, tokens, tokens, tokens)
phrases = st.lists(st.one_of(one, one, one, one, one, deaths), min_size=14, max_size=26)
plans = phrases.map(lambda lists: [step for steps in lists for step in steps])
names = (f"account{number}" for number in itertools.count())


@pytest.fixture
async def audited(ledger: Ledger) -> AsyncIterator[Ledger]:
    """The ledger, which must add up after all plans, in the month in which they begin and in the next."""
    yield ledger
    for now in (BEGIN, BEGIN + 60 * MINUTE):
        assert (await ledger.audit(now)).findings == ()


# Not shrunk: that takes minutes on DynamoDB. The message shows the last calls.
@settings(
    max_examples=25,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(limits=st.sampled_from(LIMITS), of_key=st.sampled_from(LIMITS), plan=plans)
async def test_the_ledger_does_what_the_model_does(
    audited: Ledger, limits: Limits, of_key: Limits, plan: list[Step]
) -> None:
    wide = await enrol(audited, account=limits, name=next(names))
    narrow = replace(wide, key=replace(wide.key, id=f"{wide.key.id}-2", limits=of_key))
    await audited.create_key(narrow.key)
    model = Model(wide.account, wide.key, narrow.key, always_shrinks=isinstance(audited, SqliteLedger))
    await Trial(audited, model, [wide, narrow], BEGIN, [Slot() for _ in range(SLOTS)]).run(plan)
