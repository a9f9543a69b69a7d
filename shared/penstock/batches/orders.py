"""What a worker is told of a shard, and what it says of it at the end: JSON, on its way through the platform."""

from dataclasses import asdict, dataclass
from typing import Any

import orjson
from pydantic import TypeAdapter, ValidationError
from typing_extensions import TypedDict

from penstock.ledger.records import Usage


class ShardLine(TypedDict):
    """One line of a shard's input object."""

    line: int  # its number in the batch's input, from 1
    custom_id: str
    url: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Order:
    """A shard to be worked off: until when, and on whose account."""

    batch_id: str
    shard: int
    model: str
    account_id: str
    key_id: str
    expires_at: int  # milliseconds; after that no line is begun

    def written(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def read(cls, order: object) -> "Order":
        """What `written` wrote. Raises ValueError for anything else, in one line."""
        try:
            return _ORDER.validate_json(orjson.dumps(order), strict=True)
        except TypeError:
            raise ValueError("it is no JSON") from None
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            raise ValueError(f"{'.'.join(map(str, first['loc'])) or 'it'}: {first['msg']}") from None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a shard came to: lines that were answered, lines that were refused or failed, what was used.

    They may be fewer than the shard's lines, where it was stopped.
    """

    completed: int
    failed: int
    usage: Usage

    def written(self) -> dict[str, Any]:
        """As a JSON object."""
        return asdict(self)

    @classmethod
    def read(cls, outcome: object) -> "Outcome":
        """What `written` wrote. Raises ValueError for anything else."""
        return _OUTCOME.validate_python(outcome)


_ORDER = TypeAdapter(Order)
_OUTCOME = TypeAdapter(Outcome)
