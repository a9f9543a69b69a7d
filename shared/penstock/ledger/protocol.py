"""The ledger's protocol: who may do how much, and who did how much.

Every flow runs through it: `reserve` before dispatch, `claim` and `checkpoint` and `settle` where the
tokens are born, `expire` for what died. tests/contract holds every implementation to it. Its promises:

- a request is settled exactly once, however often and in whatever order these are called;
- no reservation is granted that would take what is reserved and spent past a limit, under any
  concurrency. What can pass one is a late settlement: its tokens were generated, so they are booked;
- a refusal changes nothing; a write that was acknowledged survives `kill -9`;
- every method may be called again with the same arguments after a lost answer.

`now` is the caller's clock in milliseconds (see `penstock.clock`); callers' clocks may differ by seconds.
Every method raises `LedgerUnavailable` where the store cannot be reached.
"""

from collections.abc import Sequence
from typing import Protocol

from penstock.ledger.records import (
    Account,
    Audit,
    Bound,
    Caller,
    Claim,
    Idempotency,
    Key,
    Lease,
    Limits,
    Refused,
    Reserved,
    Settled,
    Standings,
    StoredAnswer,
    Switch,
    Usage,
    UsageRecord,
    UsageRow,
)


class Ledger(Protocol):
    """One store of accounts, keys, leases and usage."""

    # -- accounts and keys ------------------------------------------------------------------------

    async def create_account(self, account: Account) -> None:
        """Add an account. ValueError where the id is another account's."""

    async def accounts(self) -> Sequence[Account]:
        """All accounts, oldest first."""

    async def account(self, account_id: str) -> Account | None:
        """The account of that id; None where there is none."""

    async def set_account(
        self, account_id: str, *, enabled: bool, limits: Limits, keep_answers: bool = True
    ) -> Account:
        """Change an account's switch, limits and retention. KeyError where there is none."""

    async def create_key(self, key: Key) -> None:
        """Add a key. ValueError where the id is another key's, KeyError where there is no such account."""

    async def keys(self, account_id: str | None = None) -> Sequence[Key]:
        """The keys of an account, or all, oldest first."""

    async def caller(self, key_id: str) -> Caller | None:
        """The key and its account, in one look-up; None where there is no such key."""

    async def set_key(
        self, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
    ) -> Key:
        """Change a key's limits and scope. KeyError where there is none."""

    async def expire_key(self, key_id: str, expires_at: int) -> Key:
        """Let a key end at a time; an earlier end stays. KeyError where there is none."""

    async def revoke_key(self, key_id: str, now: int) -> Key:
        """End a key at once; the first revocation's time stays. KeyError where there is none."""

    async def switch(self) -> Switch:
        """The switch over everybody. It is on until it is set."""

    async def set_switch(self, switch: Switch) -> None:
        """Set the switch over everybody. `reserve` does not look at it: whoever admits does, and may cache it."""

    # -- a request's life -------------------------------------------------------------------------

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        """Set `lease.bound` aside, at `lease.reserved_at`, within the limits of account and key.

        The limits are those in the store, not those in `caller`, which may be cached. A lease counts all its
        requests towards those of the minute, and is one of those at once. A lease that is already live is reserved
        again without change; one that was claimed or settled is not to be reserved again. The lease to go on with
        is the one that comes back. AccessDenied where the account is off, or the key has ended, is not the
        account's or does not exist. Dead leases are reaped before a refusal is given. Of several limits reached
        the budget is named first, and the account's before the key's.
        """

    async def claim(self, lease: Lease, attempt: str, bound: Bound, now: int, deadline: int) -> Claim:
        """Take the lease up for one generation and shrink its reservation to `bound`.

        Trusts that the lease was reserved, which a ticket proves.
        `attempt` names the one who claims, so that its retry is not taken for another's. A second
        attempt gets TAKEN until the first one's deadline has passed. ValueError where `bound` is larger
        than what is set aside: the lease's bound, or that of an earlier claim.
        """

    async def checkpoint(self, lease: Lease, attempt: str, usage: Usage, deadline: int) -> bool:
        """Record the usage so far and renew the deadline. False where the attempt holds the lease no more.

        A checkpoint never lowers what an earlier one recorded, and never shortens the deadline.
        ValueError where the usage is over what is set aside, as in `settle`.
        """

    async def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> Settled:
        """Book what the request used, once, and give back what it had set aside beyond that.

        Needs no claim, and not even a live lease: one that was released, or closed unclaimed, is booked with
        all its requests, as LATE. `lease` may stand for fewer requests than were reserved, where not all came to
        be: they are those that are booked. ValueError where the usage is over what is set aside for it (the claimed
        bound, or the lease's): such a settlement cannot be honest.
        """

    async def release(self, lease: Lease, now: int) -> bool:
        """Give an unclaimed lease back as if it had never been reserved. False where it is not unclaimed.

        Like `claim` and `settle`, it trusts that the lease was reserved. Of one that was not, it changes no count;
        that one may be reserved afterwards, but may then count as closed, and be let go of by `expire`.
        """

    async def expire(self, now: int) -> Sequence[str]:
        """Close the leases past their deadline, each at its last checkpoint; the ids of those closed.

        A claimed one gets a provisional usage record; one that nobody claimed leaves no record. Closes a
        bounded number in one call; call again until it returns nothing.
        """

    # -- what was used ----------------------------------------------------------------------------

    async def standings(self, caller: Caller, now: int) -> Standings:
        """How far the caller is into each limit that is set in the store; empty for one it does not know."""

    async def usage(
        self, *, account_id: str | None = None, key_id: str | None = None, since: str = "", until: str = "~"
    ) -> Sequence[UsageRow]:
        """Usage by account, key, model and day, for days from `since` to `until`, both included."""

    async def record(self, request_id: str) -> UsageRecord | None:
        """The usage record of one request; None before it is settled or closed."""

    async def records(self, *, account_id: str | None = None, limit: int = 1_000) -> Sequence[UsageRecord]:
        """The latest usage records, newest first by `settled_at`. May read the whole store: not for a request."""

    async def audit(self, now: int) -> Audit:
        """Compare everything that is kept twice, and report what does not add up. Changes nothing.

        Sums against records, costs against prices, leases against records, and what is counted against an
        account's budget against its usage. May read the whole store, while it is in use.
        """

    # -- idempotency ------------------------------------------------------------------------------

    async def begin(
        self, account_id: str, idempotency_key: str, body_hash: str, attempt: str, *, now: int, expires_at: int
    ) -> StoredAnswer | Idempotency:
        """Take up an `Idempotency-Key`, or say what became of it. One past `expires_at` is forgotten.

        `attempt` names the one who begins, so that its retry is FRESH again and not IN_FLIGHT.
        """

    async def remember(
        self, account_id: str, idempotency_key: str, attempt: str, answer: StoredAnswer | None, expires_at: int
    ) -> bool:
        """Keep the answer of the attempt that was FRESH, or, with None, only that there was one.

        False where the key is not the attempt's any more; the first answer stays.
        """

    async def abandon(self, account_id: str, idempotency_key: str, attempt: str) -> None:
        """Forget a request that was FRESH for the attempt. Changes nothing where it was remembered."""

    # -- the store --------------------------------------------------------------------------------

    async def schema_version(self) -> int:
        """The version of the store's schema; opening a store migrates it to the program's version."""

    async def close(self) -> None:
        """Let go of connections."""
