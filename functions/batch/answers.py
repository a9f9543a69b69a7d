"""The results of a window's lines, in a temporary file, until they are written in the input's order.

A file, because answers may be many times as long as what was asked; of bounded size, because a function's disk is, too.
What has no place any more is only told of, and is to be brought again in its turn: see `runs`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from tempfile import SpooledTemporaryFile
from types import TracebackType
from typing import Self

from penstock.batches.log import Result

MOST_BYTES = 256 << 20  # on disk; a line's answer that is longer has it for itself
_IN_MEMORY = 32 << 20  # bytes; what is more goes to the disk


@dataclass(frozen=True, slots=True)
class _Place:
    """What is known of a result, and where its body begins in the file; None where it is not there."""

    status: int
    request_id: str
    size: int
    start: int | None


class Answers:
    """Results by line, the first of each line."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._places: dict[int, _Place] = {}
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 (closed by `__exit__`)
        self._end = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, result: Result) -> None:
        """Keep it, or only what there is to know of it where there is no room for its body."""
        known, size = self._places.get(result.line), len(result.body)
        if known is not None and known.start is not None:
            return
        start = self._end if not self._end or self._end + size <= self._most_bytes else None
        if start is not None:
            self._file.seek(start)
            self._file.write(result.body)
            self._end += size
        self._places[result.line] = _Place(result.status, result.request_id, size, start)

    def get(self, line: int) -> Result | None:
        """The line's result, None where it has none. KeyError where its body is not held."""
        place = self._places.get(line)
        if place is None:
            return None
        if place.start is None:
            raise KeyError(line)
        self._file.seek(place.start)
        return Result(line, place.status, place.request_id, self._file.read(place.size))

    def holds(self, lines: Iterable[int]) -> bool:
        """Whether every result that these lines have is held."""
        return all(self._places[line].start is not None for line in lines if line in self._places)

    def drop(self) -> None:
        """Let go of all bodies, so that there is room for others."""
        self._places = {line: _Place(one.status, one.request_id, one.size, None) for line, one in self._places.items()}
        self._file.seek(0)
        self._file.truncate()
        self._end = 0

    def runs(self, lines: Iterable[int]) -> Iterator[list[int]]:
        """The lines in parts, in order, of which each can be held at once."""
        run: list[int] = []
        total = 0
        for line in lines:
            size = self._places[line].size if line in self._places else 0
            if run and total + size > self._most_bytes:
                yield run
                run, total = [], 0
            run.append(line)
            total += size
        if run:
            yield run
