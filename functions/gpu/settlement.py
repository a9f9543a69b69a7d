"""A settlement: what one request used and how it ended, on its way to the ledger.

Written down it is JSON of `VERSION`, complete in itself: the lease with its bound and price, the usage and
the outcome. Ids, counts and prices; nothing of what was asked or answered.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

import orjson
from pydantic import TypeAdapter
from typing_extensions import TypedDict

from penstock.ledger import Lease, Usage

VERSION = 1


class Outcome(StrEnum):
    """How a generation ended, as its usage record says it."""

    COMPLETED = "completed"
    CANCELLED = "cancelled"  # the client went, or the process is stopping
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Settlement:
    """The arguments of the ledger's `settle`, but for the time."""

    lease: Lease
    usage: Usage
    outcome: str

    @property
    def request_id(self) -> str:
        """The request it settles."""
        return self.lease.id

    def written(self) -> bytes:
        """As JSON."""
        return orjson.dumps(
            {"version": VERSION, "lease": self.lease, "usage": self.usage, "outcome": self.outcome},
            option=orjson.OPT_APPEND_NEWLINE,
        )

    @classmethod
    def read(cls, text: bytes) -> "Settlement":
        """What `written` wrote. Raises ValueError for anything else."""
        stored = _STORED.validate_json(text, strict=True)
        return cls(stored["lease"], stored["usage"], stored["outcome"])


class _Stored(TypedDict):
    version: Literal[1]
    lease: Lease
    usage: Usage
    outcome: str


_STORED = TypeAdapter(_Stored)
