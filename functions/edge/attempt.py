"""One request under an `Idempotency-Key`: it is taken up once, and its answer kept for those that repeat it.

The ledger holds the key as the account's and this attempt's, with a hash of what was asked. An attempt ends
in `remember` or `abandon`; one whose process died ends by itself, a minute after it would have been cut.
Where the ledger is away at the end, the answer goes out all the same, and the key stays taken until then.
"""

import asyncio
import hashlib
import secrets
from typing import Any

from functions.edge.edge import Edge
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Idempotency, LedgerUnavailable, StoredAnswer

LONGEST = 900  # seconds, on top of the start-up budget; an attempt that takes longer is cut
MARGIN = 60  # seconds


def fingerprint(method: str, path: str, body: bytes) -> str:
    """The hex SHA-256 of what is asked: the same key may not stand for something else."""
    return hashlib.sha256(f"{method} {path}\n".encode() + body).hexdigest()


class Attempt:
    """One try at the request. `facts` are those of its log line."""

    def __init__(self, edge: Edge, account: Account, idempotency_key: str, facts: dict[str, Any]) -> None:
        self._edge = edge
        self._account = account
        self._idempotency_key = idempotency_key
        self._facts = facts
        self._id = secrets.token_hex(8)
        self._longest = edge.settings.startup_budget_s + LONGEST
        self._ends_at = asyncio.get_running_loop().time() + self._longest

    async def begin(self, body_hash: str) -> StoredAnswer | Idempotency:
        """Take the key up, or say what became of it. Raises LedgerUnavailable."""
        now = now_ms()
        expires_at = now + (self._longest + MARGIN) * SECOND
        try:
            ledger = await self._edge.ledger()
            return await ledger.begin(
                self._account.id, self._idempotency_key, body_hash, self._id, now=now, expires_at=expires_at
            )
        except BaseException:
            # It may have been taken up; nobody would go on with it.
            await asyncio.shield(self.abandon())
            raise

    def remaining(self) -> float:
        """The seconds until it is cut."""
        return max(self._ends_at - asyncio.get_running_loop().time(), 0.001)

    async def remember(self, answer: StoredAnswer | None) -> None:
        """Keep the answer; where there is none, or the account keeps none, only that it was answered."""
        expires_at = now_ms() + self._edge.settings.idempotency_retention_s * SECOND
        kept = answer if self._account.keep_answers else None
        try:
            ledger = await self._edge.ledger()
            await ledger.remember(self._account.id, self._idempotency_key, self._id, kept, expires_at)
        except LedgerUnavailable:
            self._facts.update(idempotency="not_remembered")

    async def abandon(self) -> None:
        """Forget the key, so that a retry runs. Changes nothing where the answer was remembered."""
        try:
            ledger = await self._edge.ledger()
            await ledger.abandon(self._account.id, self._idempotency_key, self._id)
        except LedgerUnavailable:
            self._facts.update(idempotency="not_abandoned")
