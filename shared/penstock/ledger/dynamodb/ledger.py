"""`DynamoLedger`: the protocol's methods on one table. `penstock.ledger.protocol` says what each promises."""

from collections.abc import Sequence
from typing import Self

from penstock.ledger.dynamodb import audit, callers, claim, close, idempotency, schema, usage
from penstock.ledger.dynamodb import switch as switches
from penstock.ledger.dynamodb.patience import bounded
from penstock.ledger.dynamodb.reserve import Reservations, standings
from penstock.ledger.dynamodb.settle import Settlement, settle
from penstock.ledger.dynamodb.table import Table
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


class DynamoLedger(Ledger):
    """The ledger in one table of DynamoDB, for any number of processes. Used from one event loop."""

    def __init__(self, table: Table, version: int) -> None:
        self._table = table
        self._version = version
        self._reservations = Reservations(table)

    @classmethod
    async def open(cls, name: str) -> Self:
        """Open the table of that name.

        Raises LedgerUnavailable where there is none, it cannot be reached, it is newer than this program,
        or it is a copy that has not been adopted.
        """
        table = await Table.connect(name)
        try:
            return cls(table, await schema.check(table))
        except BaseException:
            await table.close()
            raise

    async def create_account(self, account: Account) -> None:
        await callers.create_account(self._table, account)

    async def accounts(self) -> Sequence[Account]:
        return await callers.accounts(self._table)

    async def account(self, account_id: str) -> Account | None:
        return await callers.account(self._table, account_id)

    async def set_account(
        self, account_id: str, *, enabled: bool, limits: Limits, keep_answers: bool = True
    ) -> Account:
        return await callers.set_account(
            self._table, account_id, enabled=enabled, limits=limits, keep_answers=keep_answers
        )

    async def create_key(self, key: Key) -> None:
        await callers.create_key(self._table, key)

    async def keys(self, account_id: str | None = None) -> Sequence[Key]:
        return await callers.keys(self._table, account_id)

    @bounded
    async def caller(self, key_id: str) -> Caller | None:
        return await callers.caller(self._table, key_id)

    async def set_key(
        self, key_id: str, *, limits: Limits, models: frozenset[str] | None, routes: frozenset[str] | None
    ) -> Key:
        return await callers.set_key(self._table, key_id, limits=limits, models=models, routes=routes)

    async def expire_key(self, key_id: str, expires_at: int) -> Key:
        return await callers.expire_key(self._table, key_id, expires_at)

    async def revoke_key(self, key_id: str, now: int) -> Key:
        return await callers.revoke_key(self._table, key_id, now)

    @bounded
    async def switch(self) -> Switch:
        return await switches.get(self._table)

    async def set_switch(self, switch: Switch) -> None:
        await switches.put(self._table, switch)

    @bounded
    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        return await self._reservations.reserve(caller, lease)

    @bounded
    async def claim(self, lease: Lease, attempt: str, bound: Bound, now: int, deadline: int) -> Claim:
        return await claim.claim(self._table, lease, attempt, bound, now=now, deadline=deadline)

    @bounded
    async def checkpoint(self, lease: Lease, attempt: str, usage: Usage, deadline: int) -> bool:
        return await claim.checkpoint(self._table, lease, attempt, usage, deadline)

    @bounded
    async def settle(self, lease: Lease, usage: Usage, outcome: str, now: int) -> Settled:
        return await settle(self._table, Settlement(lease, usage, outcome, now))

    @bounded
    async def release(self, lease: Lease, now: int) -> bool:
        return await close.give_back(self._table, lease, now)

    async def expire(self, now: int) -> Sequence[str]:
        return await close.expire(self._table, now)

    @bounded
    async def standings(self, caller: Caller, now: int) -> Standings:
        return await standings(self._table, caller.key.id, now)

    async def usage(
        self, *, account_id: str | None = None, key_id: str | None = None, since: str = "", until: str = "~"
    ) -> Sequence[UsageRow]:
        return await usage.rows(self._table, account_id, key_id, since, until)

    async def record(self, request_id: str) -> UsageRecord | None:
        return await usage.record(self._table, request_id)

    async def records(self, *, account_id: str | None = None, limit: int = 1_000) -> Sequence[UsageRecord]:
        return await usage.records(self._table, account_id, limit)

    async def audit(self, now: int) -> Audit:
        return await audit.audit(self._table, now)

    @bounded
    async def begin(
        self, account_id: str, idempotency_key: str, body_hash: str, attempt: str, *, now: int, expires_at: int
    ) -> StoredAnswer | Idempotency:
        return await idempotency.begin(
            self._table, account_id, idempotency_key, body_hash, attempt, now=now, expires_at=expires_at
        )

    @bounded
    async def remember(
        self, account_id: str, idempotency_key: str, attempt: str, answer: StoredAnswer | None, expires_at: int
    ) -> bool:
        return await idempotency.remember(
            self._table, account_id, idempotency_key, attempt, answer, expires_at=expires_at
        )

    @bounded
    async def abandon(self, account_id: str, idempotency_key: str, attempt: str) -> None:
        await idempotency.abandon(self._table, account_id, idempotency_key, attempt)

    async def schema_version(self) -> int:
        return self._version

    async def close(self) -> None:
        await self._table.close()
