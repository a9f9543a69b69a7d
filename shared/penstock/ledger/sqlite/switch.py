"""The switch over everybody."""

from sqlalchemy import Connection, select
from sqlalchemy.dialects.sqlite import insert

from penstock.ledger.records import Switch
from penstock.ledger.sqlite.tables import switch as table

_ONLY = 1  # the id of the one row


def switch_of(db: Connection) -> Switch:
    """The switch as it was last set."""
    row = db.execute(select(table)).mappings().first()
    return Switch() if row is None else Switch(row["enabled"], row["reason"], row["changed_at"])


def set_switch(db: Connection, switch: Switch) -> None:
    """Set it."""
    values = {"enabled": switch.on, "reason": switch.reason, "changed_at": switch.changed_at}
    db.execute(insert(table).values(id=_ONLY, **values).on_conflict_do_update(index_elements=[table.c.id], set_=values))
