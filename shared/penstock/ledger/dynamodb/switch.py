"""The switch over everybody: one small item, read through the callers' caches."""

from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import SWITCH
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.records import Switch


async def get(table: Table) -> Switch:
    """The switch; on where it was never set."""
    item = await table.get(SWITCH)
    return Switch() if item is None else Switch(item["on"], item["reason"], item["changed_at"])


async def put(table: Table, switch: Switch) -> None:
    """Set it."""
    await table.update(Update(SWITCH).set(on=switch.on, reason=switch.reason, changed_at=switch.changed_at))
