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
    "check_url",
    "open_ledger",
]


def check_url(url: str) -> str:
    """The URL, where it names a ledger that `open_ledger` can open. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    if scheme != "sqlite" or not rest.startswith("/") or rest == "/":
        raise ValueError(f"{scheme[:32]!r} names no ledger; use sqlite:///PATH")
    return url


async def open_ledger(url: str) -> Ledger:
    """Open the ledger that `url` names, made or migrated where needed.

    `sqlite:///PATH` is the embedded one: a file on this machine, for any number of its processes.
    Raises ValueError for another URL, LedgerUnavailable where the store cannot be opened.
    """
    path = check_url(url).removeprefix("sqlite:///")
    from penstock.ledger.sqlite import SqliteLedger  # noqa: PLC0415 (the edge on Lambda has no SQLAlchemy)

    return await SqliteLedger.open(path)
