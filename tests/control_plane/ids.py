"""Identifiers in the form Modal's have: `fu-` and 22 digits."""

from collections import Counter


class Ids:
    """Gives each kind of object its own sequence."""

    def __init__(self) -> None:
        self._given: Counter[str] = Counter()

    def new(self, kind: str) -> str:
        """A new identifier, of the kind that Modal's prefix says: `ap`, `fu`, `ta`, ..."""
        self._given[kind] += 1
        return f"{kind}-{self._given[kind]:022d}"
