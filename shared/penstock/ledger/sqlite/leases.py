"""The live leases: reserved, perhaps claimed, not yet closed."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, RowMapping, bindparam, delete, insert, select, update

from penstock.ledger.records import Bound, Lease, Usage
from penstock.ledger.sqlite.tables import leases
from penstock.prices import Price

_INSERT = insert(leases)
_GET = select(leases).where(leases.c.id == bindparam("lease_id"))
_DEAD = select(leases).where(leases.c.deadline < bindparam("now")).order_by(leases.c.deadline)
_DELETE = delete(leases).where(leases.c.id == bindparam("lease_id"))


@dataclass(frozen=True, slots=True)
class LiveLease:
    """A lease as it stands: `lease.bound` and `lease.deadline` are the present ones."""

    lease: Lease
    attempt: str | None
    usage: Usage  # at the last checkpoint


def get(db: Connection, lease_id: str) -> LiveLease | None:
    """The lease of that id, if it is live."""
    row = db.execute(_GET, {"lease_id": lease_id}).mappings().first()
    return None if row is None else _live(row)


def dead(db: Connection, now: int, account_id: str | None, limit: int) -> Sequence[LiveLease]:
    """Those past their deadline, the longest dead first: of one account, or of all."""
    query = _DEAD if account_id is None else _DEAD.where(leases.c.account_id == account_id)
    return [_live(row) for row in db.execute(query.limit(limit), {"now": now}).mappings()]


def add(db: Connection, lease: Lease) -> None:
    """Make it live."""
    row = {
        "id": lease.id,
        "account_id": lease.account_id,
        "key_id": lease.key_id,
        "model": lease.model,
        "tokens": lease.bound.tokens,
        "nano": lease.bound.nano,
        "reserved_at": lease.reserved_at,
        "minute": lease.minute,
        "month": lease.month,
        "deadline": lease.deadline,
        "requests": lease.requests,
        "attempt": None,
    }
    db.execute(_INSERT, row | price_row(lease.price) | usage_row(Usage()))


def change(db: Connection, lease_id: str, values: dict[str, object]) -> None:
    """Set columns of a live lease."""
    db.execute(update(leases).where(leases.c.id == lease_id).values(values))


def remove(db: Connection, lease_id: str) -> None:
    """Give back whatever it had set aside."""
    db.execute(_DELETE, {"lease_id": lease_id})


def usage_row(usage: Usage) -> dict[str, object]:
    """The usage as columns."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def price_row(price: Price) -> dict[str, object]:
    """The price as columns."""
    return {
        "price_version": price.version,
        "price_prompt": price.prompt,
        "price_cached_prompt": price.cached_prompt,
        "price_completion": price.completion,
    }


def _live(row: RowMapping) -> LiveLease:
    lease = Lease(
        id=row["id"],
        account_id=row["account_id"],
        key_id=row["key_id"],
        model=row["model"],
        bound=Bound(row["tokens"], row["nano"]),
        price=Price(row["price_version"], row["price_prompt"], row["price_cached_prompt"], row["price_completion"]),
        reserved_at=row["reserved_at"],
        deadline=row["deadline"],
        requests=row["requests"],
    )
    usage = Usage(row["prompt_tokens"], row["cached_prompt_tokens"], row["completion_tokens"])
    return LiveLease(lease, row["attempt"], usage)
