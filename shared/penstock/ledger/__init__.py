"""The ledger: who may do how much, and who did how much.

`open_ledger` picks the store from a URL; only that store's library is imported.
"""

import re

from penstock.ledger.protocol import Ledger
from penstock.ledger.records import (
    ADMIN,
    MAX_ANSWER,
    AccessDenied,
    Account,
    Audit,
    Bound,
    Caller,
    Claim,
    Finding,
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
    Switch,
    Usage,
    UsageRecord,
    UsageRow,
)

__all__ = [
    "ADMIN",
    "MAX_ANSWER",
    "AccessDenied",
    "Account",
    "Audit",
    "Bound",
    "Caller",
    "Claim",
    "Finding",
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
    "Switch",
    "Usage",
    "UsageRecord",
    "UsageRow",
    "check_url",
    "create_ledger",
    "open_ledger",
    "prime_ledger",
]


# A table's name, as DynamoDB allows it.
_TABLE = re.compile(r"[A-Za-z0-9_.-]{3,255}")


def check_url(url: str) -> str:
    """The URL, where it names a ledger that `open_ledger` can open. Raises ValueError."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite" and rest.startswith("/") and rest != "/":
        return url
    if scheme == "dynamodb" and _TABLE.fullmatch(rest):
        return url
    raise ValueError(f"this {scheme[:32]!r} URL names no ledger; use sqlite:///PATH or dynamodb://TABLE")


async def open_ledger(url: str) -> Ledger:
    """Open the ledger that `url` names, made or migrated where needed.

    `sqlite:///PATH` is the embedded one: a file on this machine, for any number of its processes.
    `dynamodb://TABLE` is a table of DynamoDB, which has to be there (see `create_ledger`); where it is comes
    from the standard AWS configuration: AWS_REGION, AWS_ENDPOINT_URL, the chain of credentials.
    Raises ValueError for another URL, LedgerUnavailable where the store cannot be opened.
    """
    scheme, _, rest = check_url(url).partition("://")
    # Only one of them is there: the edge on Lambda has no SQLAlchemy, a laptop need not have aiobotocore.
    if scheme == "dynamodb":
        from penstock.ledger.dynamodb import DynamoLedger  # noqa: PLC0415

        return await DynamoLedger.open(rest)
    from penstock.ledger.sqlite import SqliteLedger  # noqa: PLC0415

    return await SqliteLedger.open(rest.removeprefix("/"))


async def prime_ledger(url: str) -> None:
    """Load what opening the ledger takes, and open nothing. Raises LedgerUnavailable for a wrong configuration."""
    if check_url(url).startswith("dynamodb:"):
        from penstock.ledger.dynamodb import prime  # noqa: PLC0415

        await prime()


async def create_ledger(url: str) -> Ledger:
    """Make the store that `url` names, where there is none, and open it. A deployment makes its own table."""
    scheme, _, rest = check_url(url).partition("://")
    if scheme == "dynamodb":
        from penstock.ledger.dynamodb import create_table  # noqa: PLC0415

        await create_table(rest)
    return await open_ledger(url)
