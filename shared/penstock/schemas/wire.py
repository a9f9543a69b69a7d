"""What every answer's shape has: frozen, and written with the fields that were set."""

import orjson
from pydantic import BaseModel, ConfigDict


class Wire(BaseModel):
    """A part of an answer."""

    model_config = ConfigDict(frozen=True, defer_build=True)

    def wire(self) -> bytes:
        """The JSON bytes of the fields that were set."""
        return orjson.dumps(self.model_dump(exclude_unset=True))
