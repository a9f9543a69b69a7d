"""Values as DynamoDB writes them, and back: strings, whole numbers, bytes, booleans and maps.

https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html
"""

from collections.abc import Mapping
from typing import Any

Value = str | int | bytes | bool | Mapping[str, Any]
Item = dict[str, Any]
Wire = dict[str, Any]  # an attribute's value with its type, such as {"N": "1"}


def to_wire(value: Value) -> Wire:
    """One value with its type."""
    if isinstance(value, bool):  # before int, which it is too
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    if isinstance(value, bytes):
        return {"B": value}
    return {"M": item_to_wire(value)}


def from_wire(wire: Wire) -> Any:
    """One value without its type."""
    ((kind, value),) = wire.items()
    if kind == "N":
        return int(value)
    return item_from_wire(value) if kind == "M" else value


def item_to_wire(item: Mapping[str, Value]) -> dict[str, Wire]:
    """A whole item."""
    return {name: to_wire(value) for name, value in item.items()}


def item_from_wire(item: Mapping[str, Wire]) -> Item:
    """A whole item."""
    return {name: from_wire(value) for name, value in item.items()}
