"""What the dialogues are made of, as TOML: facts, phrasings and words; and how it is read."""

import tomllib
from importlib.resources import files
from typing import Any, cast


class Corpus:
    """One file of this folder, or a table in it. A key that is missing or of another kind is an error."""

    def __init__(self, table: dict[str, Any]) -> None:
        self._table = table

    @classmethod
    def read(cls, name: str) -> "Corpus":
        """The file `name`.toml."""
        return cls(tomllib.loads(files(__name__).joinpath(f"{name}.toml").read_text(encoding="utf-8")))

    def strings(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        return tuple(map(str, cast("list[str]", self._table[key])))

    def string(self, key: str) -> str:
        """One string."""
        return str(self._table[key])

    def number(self, key: str, default: float | None = None) -> float:
        """One number; without a default it must be there."""
        return float(self._table[key] if default is None else self._table.get(key, default))

    def pairs(self, key: str) -> dict[str, str]:
        """A table of strings, in the order of the file."""
        return {name: str(value) for name, value in cast("dict[str, str]", self._table[key]).items()}

    def table(self, key: str) -> "Corpus":
        """A table in this one."""
        return Corpus(self._table[key])

    def tables(self, key: str) -> dict[str, "Corpus"]:
        """A table of tables, in the order of the file."""
        return {name: Corpus(value) for name, value in self._table[key].items()}
