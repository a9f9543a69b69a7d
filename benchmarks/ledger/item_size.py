"""How large DynamoDB takes an item to be, and how many units a write or a read of it is.

https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

A number's size is documented as approximate: a byte or so of each is uncertain.
"""

from collections.abc import Mapping
from typing import Any

_WRITE_STEP = 1_024  # bytes
_READ_STEP = 4_096  # bytes
_MAP = 3  # bytes of a map, and one more of each of its entries


def item_bytes(item: Mapping[str, Any]) -> int:
    """Bytes of an item: the names of its attributes, and their values."""
    return sum(len(name.encode()) + _value_bytes(value) for name, value in item.items())


def write_units(size: int) -> int:
    """Units of one write, where the larger of the item before and the item after has so many bytes."""
    return max(-(-size // _WRITE_STEP), 1)


def read_units(size: int) -> int:
    """Units of one strongly consistent read."""
    return max(-(-size // _READ_STEP), 1)


def _value_bytes(value: Any) -> int:
    if isinstance(value, bool):  # before int, which it is too
        return 1
    if isinstance(value, int):
        significant = str(abs(value)).strip("0")
        return -(-len(significant) // 2) + 1
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, bytes):
        return len(value)
    return _MAP + len(value) + item_bytes(value)
