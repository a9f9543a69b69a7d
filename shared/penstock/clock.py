"""Time as the ledger keeps it: integer milliseconds since the epoch, UTC."""

import time
from datetime import UTC, datetime

SECOND = 1_000  # milliseconds
MINUTE = 60 * SECOND


def now_ms() -> int:
    """The wall clock, in milliseconds since the epoch."""
    return time.time_ns() // 1_000_000


def minute_of(at: int) -> int:
    """The number of the minute that holds `at`, counted from the epoch."""
    return at // MINUTE


def day_of(at: int) -> str:
    """The UTC day that holds `at`, as `YYYY-MM-DD`."""
    return datetime.fromtimestamp(at / SECOND, UTC).strftime("%Y-%m-%d")


def month_of(at: int) -> str:
    """The UTC month that holds `at`, as `YYYY-MM`."""
    return day_of(at)[:7]


def next_minute(at: int) -> int:
    """When the minute after the one that holds `at` begins."""
    return (minute_of(at) + 1) * MINUTE


def next_month(at: int) -> int:
    """When the UTC month after the one that holds `at` begins."""
    day = datetime.fromtimestamp(at / SECOND, UTC)
    year, month = (day.year + 1, 1) if day.month == 12 else (day.year, day.month + 1)
    return int(datetime(year, month, 1, tzinfo=UTC).timestamp()) * SECOND
