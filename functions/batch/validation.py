"""Validating: a batch's input is read once, every line is checked, and the good ones are written as shards.

In memory there is a window of the input, a hash of each custom id and the shards' records, whatever the file's size. Of
an input that is refused, shards may have been written before the first error was met: they are left to whoever cleans
up after the batch. Validating twice comes to the same.
"""

import asyncio
from collections.abc import Iterable
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import NoReturn

from functions.batch.at_once import at_once
from functions.batch.lines import Lines
from functions.batch.sharding import Sharding, Window
from functions.batch.task import TaskReader, too_large
from penstock.batches.addresses import shard_input
from penstock.batches.records import MOST_ERRORS, Batch, InputError, Shard
from penstock.entitlement import denied, require_entitled
from penstock.errors import ApiError
from penstock.ledger.records import Caller
from penstock.models import ModelTable
from penstock.objects import Missing, Objects
from penstock.settings import BatchSettings

MOST_LINES = 4_000_000  # of a file, empty ones counted
MOST_BYTES = 4 << 30

_SLACK = 8 << 10  # bytes of a line beside its body: the other fields, with every character of them escaped
_MOST_MESSAGE = 512  # characters
_PUTS_AT_ONCE = 8
_CHUNK = 1 << 20  # bytes; larger ones leave holes in the memory, of which less is then used again
_LINES_A_TURN = 64  # after which the event loop has its own


@dataclass(frozen=True, slots=True)
class Validated:
    """What came of it: shards that hold every line, or the first errors, in the order of the lines."""

    lines: int  # that are not empty; where there are errors, so far as was read
    shards: list[Shard]
    errors: tuple[InputError, ...] = ()
    more_errors: bool = False


async def validate(
    batch: Batch,
    caller: Caller | None,
    models: ModelTable,
    objects: Objects,
    settings: BatchSettings,
    *,
    now: int,
) -> Validated:
    """Check the batch's input on the caller's behalf; None where nobody is known by the batch's key.

    Reading ends with the error after the last that is told. Raises ObjectsUnavailable.
    """
    try:
        if caller is None:
            raise denied(None, now)
        require_entitled(caller, now)
    except ApiError as error:
        return Validated(0, [], (_told(error, None),))
    reader = TaskReader(batch.endpoint, caller, models, max_body_bytes=settings.max_body_bytes, now=now)
    sharding = Sharding(batch.id, most_tokens=settings.shard_tokens, most_lines=settings.shard_lines, now=now)
    reading = _Reading(reader, sharding, objects, settings.max_body_bytes)
    with suppress(_Enough):
        await reading.run(batch.input_address)
    return reading.outcome()


class _Enough(Exception):
    """The input is refused, and nothing more of it need be read."""


class _Reading:
    """One reading of one input."""

    def __init__(self, reader: TaskReader, sharding: Sharding, objects: Objects, max_body_bytes: int) -> None:
        self._reader = reader
        self._sharding = sharding
        self._objects = objects
        self._max_body_bytes = max_body_bytes
        self._window = Window(0)
        self._number = 0  # of the line that is read
        self._lines = 0  # that are not empty
        self._errors: list[InputError] = []

    async def run(self, address: str) -> None:
        """Read it to its end. Raises _Enough where that is of no use."""
        lines, size = Lines(self._max_body_bytes + _SLACK), 0
        try:
            async with aclosing(self._objects.chunks(address, size=_CHUNK)) as chunks:
                async for chunk in chunks:
                    size += len(chunk)
                    if size > MOST_BYTES:
                        self._end("file_too_large", f"A batch's file has at most {MOST_BYTES:,} bytes.")
                    await self._take(lines.cut(chunk))
        except Missing:
            self._end("file_not_found", "The input file is not there any more.")
        await self._take(lines.end())
        if not self._lines:
            self._end("empty_file", "The input file has no lines.")
        await self._close_window()

    def outcome(self) -> Validated:
        """What the reading came to."""
        errors = tuple(self._errors[:MOST_ERRORS])
        shards = [] if errors else self._sharding.shards
        return Validated(self._lines, shards, errors, more_errors=len(self._errors) > MOST_ERRORS)

    async def _take(self, lines: Iterable[bytes | None]) -> None:
        for line in lines:
            self._number += 1
            if self._number > MOST_LINES:
                self._end("too_many_tasks", f"A batch's file has at most {MOST_LINES:,} lines.")
            if line is None or (line and not line.isspace()):
                self._lines += 1
                await self._check(line)
            if self._number % _LINES_A_TURN == 0:
                await asyncio.sleep(0)

    async def _check(self, line: bytes | None) -> None:
        try:
            if line is None:
                raise too_large(self._max_body_bytes)
            task = self._reader.read(self._number, line)
        except ApiError as error:
            self._refuse(_told(error, self._number))
            return
        if self._errors:
            return
        if not self._window.holds(len(line)):
            await self._close_window()
        self._window.add(task, len(line))

    def _refuse(self, error: InputError) -> None:
        self._errors.append(error)
        self._window = Window(self._window.number)
        if len(self._errors) > MOST_ERRORS:
            raise _Enough

    def _end(self, code: str, message: str) -> NoReturn:
        self._refuse(InputError(code, message))
        raise _Enough

    async def _close_window(self) -> None:
        """Write the window's shards, so many at once that the bytes in memory are those of a window again at most."""
        window, self._window = self._window, Window(self._window.number + 1)
        await at_once(_PUTS_AT_ONCE, self._put, self._sharding.cut(window))

    async def _put(self, cut: tuple[Shard, bytes]) -> None:
        shard, content = cut
        await self._objects.put(shard_input(shard.batch_id, shard.number), content)


def _told(error: ApiError, line: int | None) -> InputError:
    return InputError(error.code or error.type, error.message[:_MOST_MESSAGE], line, error.param)
