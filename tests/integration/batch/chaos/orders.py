"""What the processes of the chaos are told, in the environment variable CHAOS: JSON."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter


@dataclass(frozen=True)
class Advance:
    """For an advancer: which batch, with which workers; how it fails, and when it dies (see `trouble`)."""

    batch_id: str
    platform: int  # its port
    seed: str
    rate: float
    lives: dict[str, int]
    deaths: Path  # where each death is written down

    def written(self) -> str:
        """For the environment."""
        return _ADVANCE.dump_json(self).decode()

    @classmethod
    def read(cls, text: str) -> "Advance":
        """What was written."""
        return _ADVANCE.validate_json(text)


@dataclass(frozen=True)
class Work:
    """For all workers: how they fail, and how many of them die, each after so many calls of its stores at most."""

    seed: str
    rate: float
    mortal: int  # the first so many
    longest_life: int
    deaths: Path  # where each death is written down
    starts: Path  # a folder with a file for each that was started

    def written(self) -> str:
        """For the environment."""
        return _WORK.dump_json(self).decode()

    @classmethod
    def read(cls, text: str) -> "Work":
        """What was written."""
        return _WORK.validate_json(text)


_ADVANCE = TypeAdapter(Advance)
_WORK = TypeAdapter(Work)
