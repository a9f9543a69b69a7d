"""What a check of a deployment found: right, wrong, or not to be told without asking Modal."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a check. `mend` says what to do about it."""

    state: Literal["right", "wrong", "unknown"]
    what: str
    mend: str = ""


def right(what: str) -> Finding:
    """It is as it has to be."""
    return Finding("right", what)


def wrong(what: str, mend: str = "") -> Finding:
    """It would fail once deployed."""
    return Finding("wrong", what, mend)


def unknown(what: str, mend: str = "") -> Finding:
    """It cannot be told from here."""
    return Finding("unknown", what, mend)
