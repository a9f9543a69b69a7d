"""A shard's log: what was done of it, in entries that are added one by one and never change.

    attempt   a worker took the shard up; whoever had it before can add nothing more
    begun     lines that are to be answered, and the lease that they are on
    ended     their results, and what they used: what is in no such entry was not done
    closed    nothing more can be added: the shard is finished, or nobody is to go on with it

An entry is an object (see `addresses.log_entry`): a line of JSON that says what it is, and after that of `ended` a line
for the body of each result, in the results' order, so that whoever passes bodies on need not read them. Entries are
added by the workers (`functions.gpu`), and read by them and by who joins the results (`functions.batch`).
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Literal

import orjson
from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict

from penstock.batches.addresses import log_entry, shard_log
from penstock.ledger.records import Lease, Usage
from penstock.objects.protocol import Exists, Object, Objects

# Entries that are read at once: so many, and so many bytes, unless one alone has more.
_READS_AHEAD = 16
_BYTES_AHEAD = 32 << 20


@dataclass(frozen=True, slots=True)
class Attempt:
    """A worker took the shard up, for the `attempt`-th time, from 1.

    `worker` is a name that nobody else has: of two who add their attempts at the same place, the store takes one only
    where they differ.
    """

    attempt: int
    worker: str


@dataclass(frozen=True, slots=True)
class Begun:
    """A slice was begun: lines by their numbers in the batch's input. `slice` is a number of its own in the log."""

    slice: int
    lines: tuple[int, ...]
    lease: Lease


@dataclass(frozen=True, slots=True)
class Result:
    """A line's answer, or what refused it: status and body as over HTTP. The body is JSON without a line break."""

    line: int
    status: int
    request_id: str
    body: bytes

    def __post_init__(self) -> None:
        if b"\n" in self.body:
            raise ValueError(f"the result of line {self.line} has a body of more than one line")


@dataclass(frozen=True, slots=True)
class Ended:
    """A slice has ended: its results, perhaps not of all its lines, and what those answered with 200 have used.

    Without a lease there was none: lines were refused before anything was set aside for them.
    """

    slice: int
    lease: Lease | None
    usage: Usage
    results: tuple[Result, ...]


@dataclass(frozen=True, slots=True)
class Closed:
    """The log's last entry."""


Entry = Attempt | Begun | Ended | Closed


def written(entry: Entry) -> bytes:
    """The entry as an object's content."""
    if isinstance(entry, Attempt):
        return orjson.dumps({"kind": "attempt", "attempt": entry.attempt, "worker": entry.worker})
    if isinstance(entry, Begun):
        return orjson.dumps({"kind": "begun", "slice": entry.slice, "lines": entry.lines, "lease": entry.lease})
    if isinstance(entry, Closed):
        return orjson.dumps({"kind": "closed"})
    results = [{"line": one.line, "status": one.status, "request_id": one.request_id} for one in entry.results]
    said = {"kind": "ended", "slice": entry.slice, "lease": entry.lease, "usage": entry.usage, "results": results}
    return b"\n".join([orjson.dumps(said), *(one.body for one in entry.results)])


def read(content: bytes) -> Entry:
    """What `written` wrote. Raises ValueError for anything else."""
    said, *bodies = content.split(b"\n")
    stored = _STORED.validate_json(said, strict=True)
    if stored["kind"] == "ended":
        results = tuple(Result(**one, body=body) for one, body in zip(stored["results"], bodies, strict=True))
        return Ended(stored["slice"], stored["lease"], stored["usage"], results)
    if bodies:
        raise ValueError(f"an entry of the kind {stored['kind']!r} has no bodies")
    if stored["kind"] == "begun":
        return Begun(stored["slice"], stored["lines"], stored["lease"])
    if stored["kind"] == "closed":
        return Closed()
    return Attempt(stored["attempt"], stored["worker"])


async def close(objects: Objects, batch_id: str, shard: int) -> None:
    """See to it that nothing can be added to the log any more: a worker that is still at it can settle nothing.

    To be called before the results of a shard are joined, unless its mark is there. Raises ObjectsUnavailable.
    """
    while True:
        keys = [one.key async for one in objects.list(shard_log(batch_id, shard))]
        if keys and isinstance(read(await objects.get(keys[-1])), Closed):
            return
        with suppress(Exists):  # somebody was faster: with another entry, or this one
            await objects.put_new(log_entry(batch_id, shard, len(keys)), written(Closed()))
            return


async def entries(objects: Objects, batch_id: str, shard: int) -> AsyncGenerator[Entry]:
    """The shard's log from its beginning, several entries read at once.

    Raises ObjectsUnavailable, or ValueError where an entry is none.
    """
    for keys in _read_together([one async for one in objects.list(shard_log(batch_id, shard))]):
        for content in await asyncio.gather(*map(objects.get, keys)):
            yield read(content)


def _read_together(listed: Iterable[Object]) -> Iterator[list[str]]:
    keys: list[str] = []
    size = 0
    for one in listed:
        if keys and (len(keys) >= _READS_AHEAD or size + one.size > _BYTES_AHEAD):
            yield keys
            keys, size = [], 0
        keys.append(one.key)
        size += one.size
    if keys:
        yield keys


def results(log: Iterable[Entry]) -> dict[int, Result]:
    """The results of the lines that are done, by their numbers."""
    found: dict[int, Result] = {}
    for entry in log:
        if isinstance(entry, Ended):
            for one in entry.results:
                found.setdefault(one.line, one)
    return found


def unended(log: Sequence[Entry]) -> list[Begun]:
    """The slices that were begun and have not ended: running, or their worker died."""
    ended = {entry.slice for entry in log if isinstance(entry, Ended)}
    return [entry for entry in log if isinstance(entry, Begun) and entry.slice not in ended]


class _Result(TypedDict):
    line: int
    status: int
    request_id: str


class _Attempt(TypedDict):
    kind: Literal["attempt"]
    attempt: int
    worker: str


class _Begun(TypedDict):
    kind: Literal["begun"]
    slice: int
    lines: tuple[int, ...]
    lease: Lease


class _Ended(TypedDict):
    kind: Literal["ended"]
    slice: int
    lease: Lease | None
    usage: Usage
    results: list[_Result]


class _Closed(TypedDict):
    kind: Literal["closed"]


_STORED: TypeAdapter[_Attempt | _Begun | _Ended | _Closed] = TypeAdapter(
    Annotated[_Attempt | _Begun | _Ended | _Closed, Field(discriminator="kind")]
)
