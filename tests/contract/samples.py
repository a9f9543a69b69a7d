"""An account, a key and leases to try a ledger with. Times are fixed, so no test depends on the day."""

from datetime import UTC, datetime

from penstock.clock import MINUTE
from penstock.ledger import Account, Bound, Caller, Key, Lease, Ledger, Limits, Refused, Reserved, Usage
from penstock.prices import Price

NOW = int(datetime(2026, 3, 10, 12, 0, 10, tzinfo=UTC).timestamp()) * 1_000
DEADLINE = NOW + 5 * MINUTE
PRICE = Price("2026-01-01", prompt=1_000, cached_prompt=100, completion=2_000)
BOUND = Bound(tokens=100, nano=200_000)  # at most 100 tokens, all of them new
USAGE = Usage(prompt_tokens=20, cached_prompt_tokens=10, completion_tokens=30)
COST = 10 * 1_000 + 10 * 100 + 30 * 2_000
NO_LIMITS = Limits()


async def enrol(ledger: Ledger, *, account: Limits = NO_LIMITS, key: Limits = NO_LIMITS, name: str = "acme") -> Caller:
    """Add an account with one key; ids are `name` and `name-key`."""
    caller = Caller(
        Account(name, name.title(), NOW, limits=account),
        Key(f"{name}-key", name, "laptop", "0" * 64, NOW, limits=key),
    )
    await ledger.create_account(caller.account)
    await ledger.create_key(caller.key)
    return caller


def lease_of(
    caller: Caller,
    request_id: str = "req_1",
    *,
    bound: Bound = BOUND,
    at: int = NOW,
    deadline: int | None = None,
    model: str = "demo",
    requests: int = 1,
) -> Lease:
    """A lease for the caller, not reserved yet."""
    return Lease(
        id=request_id,
        account_id=caller.account.id,
        key_id=caller.key.id,
        model=model,
        bound=bound,
        price=PRICE,
        reserved_at=at,
        deadline=at + 5 * MINUTE if deadline is None else deadline,
        requests=requests,
    )


async def reserved(ledger: Ledger, caller: Caller, lease: Lease) -> Reserved:
    """Reserve it; the test fails where that is refused."""
    outcome = await ledger.reserve(caller, lease)
    assert isinstance(outcome, Reserved), outcome
    return outcome


async def live(ledger: Ledger, caller: Caller, lease: Lease) -> Lease:
    """Reserve it, and the lease to go on with; the test fails where that is refused."""
    return (await reserved(ledger, caller, lease)).lease


async def refused(ledger: Ledger, caller: Caller, lease: Lease) -> Refused:
    """Try to reserve it; the test fails where that is granted."""
    outcome = await ledger.reserve(caller, lease)
    assert isinstance(outcome, Refused), outcome
    return outcome
