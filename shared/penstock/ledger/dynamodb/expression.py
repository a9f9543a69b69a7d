"""Expressions of DynamoDB, put together from clauses: what a write changes, and on which condition.

Every name and value goes in by a placeholder, so that no name can be a reserved word and no value part of
the syntax.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.html
"""

from collections.abc import Mapping
from typing import Any

from penstock.ledger.dynamodb.values import Value, Wire, item_to_wire, to_wire

Key = Mapping[str, str]


class Update:
    """One `UpdateItem`, or the same inside a transaction: built up, then asked for its `request`."""

    def __init__(self, key: Key) -> None:
        self._key = key
        self._names: dict[str, str] = {}
        self._values: dict[str, Wire] = {}
        self._actions: dict[str, list[str]] = {"SET": [], "ADD": [], "REMOVE": []}
        self._conditions: list[str] = []

    def name(self, *path: str) -> str:
        """The placeholder of an attribute, or the dotted placeholders of one inside a map."""
        return ".".join(self._names.setdefault(part, f"#{len(self._names)}") for part in path)

    def value(self, value: Value) -> str:
        """The placeholder of a value."""
        placeholder = f":{len(self._values)}"
        self._values[placeholder] = to_wire(value)
        return placeholder

    def set(self, **attributes: Value) -> "Update":
        """Set attributes."""
        for name, value in attributes.items():
            self._actions["SET"].append(f"{self.name(name)} = {self.value(value)}")
        return self

    def set_at(self, path: tuple[str, ...], value: Value) -> "Update":
        """Set an attribute inside a map."""
        self._actions["SET"].append(f"{self.name(*path)} = {self.value(value)}")
        return self

    def set_once(self, name: str, value: Value) -> "Update":
        """Set an attribute, unless it has a value."""
        self._actions["SET"].append(f"{self.name(name)} = if_not_exists({self.name(name)}, {self.value(value)})")
        return self

    def add(self, numbers: Mapping[str, int]) -> "Update":
        """Add to numbers, each of which counts as 0 where it is not there."""
        for name, number in numbers.items():
            self._actions["ADD"].append(f"{self.name(name)} {self.value(number)}")
        return self

    def remove(self, *paths: tuple[str, ...]) -> "Update":
        """Remove attributes."""
        self._actions["REMOVE"] += [self.name(*path) for path in paths]
        return self

    def where(self, *conditions: str) -> "Update":
        """Only where these hold, all of them and those of before."""
        self._conditions += conditions
        return self

    def exists(self, *path: str) -> str:
        """That there is such an attribute."""
        return f"attribute_exists({self.name(*path)})"

    def absent(self, *path: str) -> str:
        """That there is no such attribute."""
        return f"attribute_not_exists({self.name(*path)})"

    def equals(self, *path: str, to: Value) -> str:
        """That an attribute has this value."""
        return f"{self.name(*path)} = {self.value(to)}"

    def at_most(self, name: str, most: int) -> str:
        """That a number is at most so large."""
        return f"{self.name(name)} <= {self.value(most)}"

    def at_least(self, name: str, least: int) -> str:
        """That a number is at least so large."""
        return f"{self.name(name)} >= {self.value(least)}"

    def begins(self, *path: str, start: str) -> str:
        """That a text begins so."""
        return f"begins_with({self.name(*path)}, {self.value(start)})"

    def room(self, name: str, most: int) -> str:
        """That a count is at most so large; one that is not there is 0."""
        return f"({self.absent(name)} OR {self.at_most(name, most)})"

    def smaller(self, map_name: str, than: int) -> str:
        """That a map has fewer entries than this."""
        return f"size({self.name(map_name)}) < {self.value(than)}"

    @property
    def changes_anything(self) -> bool:
        """Whether there is anything to write."""
        return any(self._actions.values())

    def request(self) -> dict[str, Any]:
        """The parameters, without the table's name."""
        actions = " ".join(f"{verb} {', '.join(parts)}" for verb, parts in self._actions.items() if parts)
        parameters: dict[str, Any] = {"Key": item_to_wire(self._key), "UpdateExpression": actions}
        if self._conditions:
            parameters["ConditionExpression"] = " AND ".join(self._conditions)
        if self._names:
            parameters["ExpressionAttributeNames"] = {mark: name for name, mark in self._names.items()}
        if self._values:
            parameters["ExpressionAttributeValues"] = self._values
        return parameters


def either(*conditions: str) -> str:
    """That one of the conditions holds."""
    return f"({' OR '.join(conditions)})"


def both(*conditions: str) -> str:
    """That all of the conditions hold."""
    return f"({' AND '.join(conditions)})"
