"""What a request costs at AWS, computed from the sizes of the items it writes. Nothing here is measured there.

Prices are parameters with a date and a place: https://aws.amazon.com/dynamodb/pricing/on-demand/
"""

from dataclasses import dataclass

from benchmarks.ledger.accounts import AccountItem, ItemSizes
from benchmarks.ledger.item_size import read_units, write_units
from penstock.ledger.dynamodb.request import KEPT

PARTITION_UNITS = 1_000  # write units a second of one partition, and so of one item
_TRANSACTION = 2  # times what the same writes cost alone
_MILLION = 1_000_000
_GB = 1_024**3  # bytes
_INDEX = 100  # bytes that are stored with every item
_MONTH = 30 * 24 * 3_600  # seconds
_MOST_BYTES = 400 * 1_024  # of an item


@dataclass(frozen=True, slots=True)
class Prices:
    """Dollars: of a million request units on demand, and of a GB stored for a month."""

    place: str
    month: str
    write: float
    read: float
    storage: float


PRICES = Prices("us-east-1", "November 2024", write=0.625, read=0.125, storage=0.25)


def request_units(account: int, items: ItemSizes, checkpoints: int = 0) -> int:
    """Write units of one request, where the account's item has so many bytes.

    Reserve and release on the account's item; claim, checkpoints on the record; the record and the sum in
    a transaction.
    """
    record, total = write_units(items.record), write_units(items.total)
    return 2 * write_units(account) + (1 + checkpoints) * record + _TRANSACTION * (record + total)


def idempotency_units(items: ItemSizes) -> int:
    """Write units that an `Idempotency-Key` adds: its entry at the beginning and at the end, and the answer."""
    return 2 * write_units(items.entry) + write_units(items.body)


def look_up_units(account: int, items: ItemSizes) -> int:
    """Read units of a look-up of the caller: the key, its account, and the key again."""
    return 2 * read_units(items.key) + read_units(account)


def dollars(units: float, price: float) -> float:
    """Dollars of a million of what takes so many units."""
    return units * price


def storage_dollars(items: ItemSizes) -> float:
    """Dollars for keeping the records of a million requests until their TTL."""
    return _MILLION * (items.record + _INDEX) / _GB * KEPT / _MONTH * PRICES.storage


def requests_per_second(account: int) -> float:
    """What an account's item of so many bytes carries: each request writes it twice."""
    return PARTITION_UNITS / (2 * write_units(account))


@dataclass(frozen=True, slots=True)
class Line:
    """An account's item by its live leases: so many bytes without any, and so many more for each."""

    empty: float
    each: float

    @classmethod
    def through(cls, few: AccountItem, many: AccountItem) -> "Line":
        """The line through two items."""
        each = (many.size - few.size) / (many.live - few.live)
        return cls(few.size - few.live * each, each)

    def size(self, live: float) -> int:
        """Bytes at so many live leases."""
        return round(self.empty + live * self.each)

    def most_live(self) -> int:
        """The live leases with which the item is as large as DynamoDB lets it be."""
        return int((_MOST_BYTES - self.empty) / self.each)

    def most_per_second(self, seconds: float) -> int:
        """The most whole requests a second that the item carries, where each lives so long (Little's law)."""
        rate = 0
        while rate + 1 <= requests_per_second(self.size((rate + 1) * seconds)):
            rate += 1
        return rate
