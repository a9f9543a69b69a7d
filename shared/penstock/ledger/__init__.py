"""The ledger: who may do how much, and who did how much.

`open_ledger` picks the store from a URL; only that store's library is imported.
"""

from penstock.ledger.protocol import Ledger
from penstock.ledger.records import (
    AccessDenied,
    Account,
    Bound,
    Caller,
    Claim,
    Idempotency,
    Key,
    Lease,
    LedgerUnavailable,
    LimitName,
    Limits,
    Refused,
    Reserved,
    Settled,
    Standing,
    Standings,
    StoredAnswer,
    Usage,
    UsageRecord,
    UsageRow,
)

__all__ = [
    "AccessDenied",
    "Account",
    "Bound",
    "Caller",
    "Claim",
    "Idempotency",
    "Key",
    "Lease",
    "Ledger",
    "LedgerUnavailable",
    "LimitName",
    "Limits",
    "Refused",
    "Reserved",
    "Settled",
    "Standing",
    "Standings",
    "StoredAnswer",
    "Usage",
    "UsageRecord",
    "UsageRow",
    "open_ledger",
]


async def open_ledger(url: str) -> Ledger:
    """Open the ledger that `url` names, made or migrated where needed.

    `sqlite:///PATH` is the embedded one: a file on this machine, for any number of its processes.
    Raises ValueError for another scheme, LedgerUnavailable where the store cannot be opened.
    """
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/"):
        from penstock.ledger.sqlite import SqliteLedger  # noqa: PLC0415 (the edge on Lambda has no SQLAlchemy)

        return await SqliteLedger.open(rest.removeprefix("/"))
    raise ValueError(f"{scheme or 'an empty URL'!r} names no ledger; use sqlite:///PATH")
