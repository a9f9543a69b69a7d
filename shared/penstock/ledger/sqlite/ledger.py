"""`SqliteLedger`: the protocol's methods, each one transaction on the file.

`penstock.ledger.protocol` says what each of them promises.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

from penstock.ledger.protocol import Ledger
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
from penstock.ledger.sqlite import callers, flow, idempotency, usage
from penstock.ledger.sqlite.audit import audit
from penstock.ledger.sqlite.migrations import version_of
from penstock.ledger.sqlite.store import Store
from penstock.ledger.sqlite.switch import set_switch, switch_of


class SqliteLedger(Ledger):
    """The ledger in one SQLite file, for any number of processes on one machine. Used from one event loop."""

    def __init__(self, store: Store) -> None:
        self._store = store

    @classmethod
    async def open(cls, path: str | Path) -> Self:
        """Open the file at `path`, made or migrated where needed.

        Raises LedgerUnavailable where it cannot be opened, is not a ledger, or is newer than this program.
        """
        return cls(await Store.open(Path(path)))

    async def create_account(self, account: Account) -> None:
        await self._store.write(callers.create_account, account)

    async def accounts(self) -> Sequence[Account]:
        return await self._store.read(callers.accounts)

    async def account(self, account_id: str) -> Account | None:
        return await self._store.read(callers.account, account_id)

    async def set_account(
        self, account_id: str, *, enabled: bool, limits: Limits, keep_answers: bool = True
    ) -> Account:
        return await self._store.write(
            callers.set_account, account_id, enabled=enabled, limits=limits, keep_answers=keep_answers
        )

    async def create_key(self, key: Key) -> None:
        await self._store.write(callers.create_key, key)

    async def keys(self, account_id: str | None = None) -> Sequence[Key]:
        return await self._store.read(callers.keys, account_id)

    async def caller(self, key_id: str) -> Caller | None:
        return await self._store.read(callers.caller, key_id)

    async def set_key(
        self, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
    ) -> Key:
        return await self._store.write(callers.set_key, key_id, limits=limits, models=models, routes=routes)

    async def expire_key(self, key_id: str, expires_at: int) -> Key:
        return await self._store.write(callers.expire_key, key_id, expires_at)

    async def revoke_key(self, key_id: str, now: int) -> Key:
        return await self._store.write(callers.revoke_key, key_id, now)

    async def switch(self) -> Switch:
        return await self._store.read(switch_of)

    async def set_switch(self, switch: Switch) -> None:
        await self._store.write(set_switch, switch)

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        # The limits are those of the file: the caller's may be from a cache.
        return await self._store.write(flow.reserve, lease)

    async def claim(self, lease: Lease, attempt: str, bound: Bound, now: int, deadline: int) -> Claim:
        return await self._store.write(flow.claim, lease, attempt, bound, now=now, deadline=deadline)

    async def checkpoint(self, lease: Lease, attempt: str, usage: Usage, deadline: int) -> bool:
        return await self._store.write(flow.checkpoint, lease, attempt, usage, deadline)

    async def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> Settled:
        return await self._store.write(flow.settle, lease, usage, outcome, now)

    async def release(self, lease: Lease, now: int) -> bool:
        return await self._store.write(flow.release, lease)

    async def expire(self, now: int) -> Sequence[str]:
        return await self._store.write(flow.expire, now)

    async def standings(self, caller: Caller, now: int) -> Standings:
        return await self._store.read(flow.standings, caller.key.id, now)

    async def usage(
        self, *, account_id: str | None = None, key_id: str | None = None, since: str = "", until: str = "~"
    ) -> Sequence[UsageRow]:
        return await self._store.read(usage.rows, account_id, key_id, since, until)

    async def record(self, request_id: str) -> UsageRecord | None:
        entry = await self._store.read(usage.get, request_id)
        return None if entry is None else entry.record

    async def records(self, *, account_id: str | None = None, limit: int = 1_000) -> Sequence[UsageRecord]:
        return await self._store.read(usage.records, account_id, limit)

    async def audit(self, now: int) -> Audit:
        return await self._store.read(audit, now)

    async def begin(
        self, account_id: str, idempotency_key: str, body_hash: str, attempt: str, *, now: int, expires_at: int
    ) -> StoredAnswer | Idempotency:
        return await self._store.write(
            idempotency.begin, account_id, idempotency_key, body_hash, attempt, now=now, expires_at=expires_at
        )

    async def remember(
        self, account_id: str, idempotency_key: str, attempt: str, answer: StoredAnswer | None, expires_at: int
    ) -> bool:
        return await self._store.write(
            idempotency.remember, account_id, idempotency_key, attempt, answer, expires_at=expires_at
        )

    async def abandon(self, account_id: str, idempotency_key: str, attempt: str) -> None:
        await self._store.write(idempotency.abandon, account_id, idempotency_key, attempt)

    async def schema_version(self) -> int:
        return await self._store.read(version_of)

    async def close(self) -> None:
        await self._store.close()
