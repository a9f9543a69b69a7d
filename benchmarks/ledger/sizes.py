"""The tables of sizes and costs: of the account's item, of the other items, and of a million requests."""

from collections.abc import Sequence

from benchmarks.ledger.accounts import AccountItem, ItemSizes
from benchmarks.ledger.cost import (
    PRICES,
    Line,
    dollars,
    idempotency_units,
    look_up_units,
    request_units,
    requests_per_second,
    storage_dollars,
)
from benchmarks.ledger.item_size import write_units
from benchmarks.report import Column, Row, Table

_DURATIONS = (1, 3, 10, 30, 100)  # seconds from the reservation to the settlement
_MS = 1_000


def account_table(accounts: Sequence[AccountItem]) -> Table:
    """The account's item at each number of keys and live leases."""
    columns = (
        Column("what", "keys, live leases"),
        Column("bytes", "bytes"),
        Column("write_units", "units a write"),
        Column("emulator_units", "emulator says"),
        Column("requests_per_second", "requests/s at most"),
        Column("reserve_cpu_ms", "reserve, CPU ms"),
    )
    rows: list[Row] = [
        {
            "what": _title(account),
            "bytes": account.size,
            "write_units": write_units(account.size),
            "emulator_units": account.emulator_units,
            "requests_per_second": requests_per_second(account.size),
            "reserve_cpu_ms": account.cpu_s * _MS,
        }
        for account in accounts
    ]
    notes = (
        "Computed from the real item, except what the emulator says and the CPU time of the ledger's client.",
        "Requests a second: of one account, whose item is one partition's, 1,000 write units a second.",
    )
    return Table(
        "account_item", "dynamodb: the account's item, written by reserve and by release", columns, rows, notes
    )


def item_table(items: ItemSizes) -> Table:
    """The other items."""
    columns = (Column("what", "item"), Column("bytes", "bytes"), Column("write_units", "units a write"))
    named = {
        "a request's record, settled (twice the units in the transaction)": items.record,
        "a sum of a day, key and model (twice the units in the transaction)": items.total,
        "an Idempotency-Key": items.entry,
        "its answer, of 1,000 bytes": items.body,
        "an API key": items.key,
    }
    rows: list[Row] = [{"what": what, "bytes": size, "write_units": write_units(size)} for what, size in named.items()]
    return Table("items", "dynamodb: the other items", columns, rows)


def cost_table(accounts: Sequence[AccountItem], items: ItemSizes) -> Table:
    """What a million requests cost."""
    columns = (
        Column("what", "keys, live leases"),
        Column("write_units", "write units a request"),
        Column("dollars_per_million", "$ a million"),
        Column("keyed_write_units", "with Idempotency-Key"),
        Column("keyed_dollars_per_million", "$ a million"),
        Column("look_up_dollars_per_million", "$ a million look-ups"),
    )
    rows: list[Row] = []
    for account in accounts:
        plain = request_units(account.size, items)
        keyed = plain + idempotency_units(items)
        rows.append(
            {
                "what": _title(account),
                "write_units": plain,
                "dollars_per_million": dollars(plain, PRICES.write),
                "keyed_write_units": keyed,
                "keyed_dollars_per_million": dollars(keyed, PRICES.write),
                "look_up_dollars_per_million": dollars(look_up_units(account.size, items), PRICES.read),
            }
        )
    prices = (
        f"${PRICES.write} a million write units, ${PRICES.read} a million read units, "
        f"${PRICES.storage} a GB stored for a month"
    )
    notes = (
        f"Computed. On demand in {PRICES.place} since {PRICES.month}: {prices}.",
        "Without checkpoints: each is one unit more. Every try again, and every refusal, costs its write too.",
        f"Storing the records until their TTL is ${storage_dollars(items):.2f} a million more.",
    )
    return Table("cost", "dynamodb: what a million requests cost", columns, rows, notes)


def rate_table(accounts: Sequence[AccountItem], items: ItemSizes) -> Table:
    """What one account carries, by how long its requests live."""
    columns = (
        Column("what", "keys, seconds a request lives"),
        Column("requests_per_second", "requests/s at most"),
        Column("live", "live then"),
        Column("dollars_per_million", "$ a million then"),
    )
    rows: list[Row] = []
    notes = ["Computed: live leases are the rate times the seconds, and each makes every write of the item dearer."]
    for keys in dict.fromkeys(account.keys for account in accounts):
        same = [account for account in accounts if account.keys == keys]
        line = Line.through(same[0], same[-1])
        full = f"{line.each:.0f} bytes for each live lease; it is full (400 KB) at {line.most_live():,}"
        notes.append(f"With {_number(keys, 'key')} the item has {line.empty:,.0f} bytes and {full}.")
        for seconds in _DURATIONS:
            rate = line.most_per_second(seconds)
            units = request_units(line.size(rate * seconds), items)
            rows.append(
                {
                    "what": f"{_number(keys, 'key')}, {seconds} s",
                    "requests_per_second": rate,
                    "live": rate * seconds,
                    "dollars_per_million": dollars(units, PRICES.write),
                }
            )
    return Table("account_rate", "dynamodb: what one account carries", columns, rows, notes)


def _title(account: AccountItem) -> str:
    return f"{_number(account.keys, 'key')}, {_number(account.live, 'live lease')}"


def _number(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
