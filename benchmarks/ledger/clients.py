"""Clients of a ledger: each reserves, claims and settles on behalf of one API key."""

from dataclasses import dataclass

from benchmarks.failure import BenchmarkFailed
from penstock import admission, keys
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Account, Bound, Caller, Claim, Key, Lease, Ledger, Limits, Reserved, Settled, Usage
from penstock.prices import Price

ENOUGH = Limits(
    requests_per_minute=10**9,
    tokens_per_minute=10**12,
    concurrent_requests=10**6,
    monthly_budget=10**15,
    monthly_tokens=10**14,
)
"""All limits, so that each is looked at; none is ever reached."""

MODEL = "llama-3.1-8b"
PRICE = Price("2026-01-01", prompt=100, cached_prompt=50, completion=400)
BOUND = Bound(tokens=4_608, nano=768_000)  # 3,584 bytes of messages, and 1,024 new tokens
CLAIMED = Bound(tokens=1_811, nano=488_300)  # when the prompt's tokens are known
USED = Usage(prompt_tokens=787, cached_prompt_tokens=512, completion_tokens=413)

_PATIENCE = 5 * MINUTE  # within which a lease is to be claimed


@dataclass(frozen=True, slots=True)
class Client:
    """Who reserves, claims and settles. What is not granted ends the benchmark."""

    ledger: Ledger
    caller: Caller

    @property
    def name(self) -> str:
        """The account's id."""
        return self.caller.account.id

    async def reserve(self, at: int | None = None) -> Lease:
        """A lease, reserved now or at another moment."""
        outcome = await self.ledger.reserve(self.caller, self.lease(at))
        if not isinstance(outcome, Reserved):
            raise BenchmarkFailed(f"a reservation was refused: {outcome}")
        return outcome.lease

    def lease(self, at: int | None = None, bound: Bound = BOUND) -> Lease:
        """A lease to be reserved."""
        begun = now_ms() if at is None else at
        return Lease(
            id=admission.new_request_id(),
            account_id=self.caller.account.id,
            key_id=self.caller.key.id,
            model=MODEL,
            bound=bound,
            price=PRICE,
            reserved_at=begun,
            deadline=begun + _PATIENCE,
        )

    async def claim(self, lease: Lease) -> None:
        """Claim the lease."""
        now = now_ms()
        claim = await self.ledger.claim(lease, "attempt", CLAIMED, now, now + _PATIENCE)
        if claim is not Claim.CLAIMED:
            raise BenchmarkFailed(f"a claim was refused: {claim}")

    async def settle(self, lease: Lease) -> None:
        """Settle the lease."""
        settled = await self.ledger.settle(lease, USED, "stop", now_ms())
        if settled is not Settled.FIRST:
            raise BenchmarkFailed(f"a settlement was not the first: {settled}")

    async def live(self) -> None:
        """A whole request: reserve, claim, settle."""
        lease = await self.reserve()
        await self.claim(lease)
        await self.settle(lease)


async def clients_of_one_account(ledger: Ledger, account_id: str, number: int, limits: Limits = ENOUGH) -> list[Client]:
    """An account with so many keys, and a client of each."""
    now = now_ms()
    await ledger.create_account(Account(account_id, "Bench", now, limits=limits))
    ids = []
    for _ in range(number):
        key = keys.mint()
        await ledger.create_key(Key(key.id, account_id, "Bench", key.digest(), now, limits=limits))
        ids.append(key.id)
    return [Client(ledger, await looked_up(ledger, key_id)) for key_id in ids]


async def looked_up(ledger: Ledger, key_id: str) -> Caller:
    """The caller with that key."""
    caller = await ledger.caller(key_id)
    if caller is None:
        raise BenchmarkFailed("a key is not in the ledger")
    return caller
