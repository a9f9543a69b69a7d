"""A shard's log as a worker keeps it: read, taken up, and added to by nobody else from then on.

Each entry is an object that has to be new, and they are numbered without a gap: so of two workers that both believe
the shard is theirs, the one that took it up first meets the other's entry, and is `Fenced`. Where the store cannot be
reached an entry is tried again for about half a minute; whether the last try counted nobody knows then, and nothing
more may be added by this worker.
"""

import asyncio
import random

from functions.gpu.shards.history import History
from penstock.batches.addresses import log_entry
from penstock.batches.log import Attempt, Entry, entries, written
from penstock.objects import Exists, Missing, Objects, ObjectsUnavailable

PAUSES_S = (0.5, 1.0, 2.0, 4.0, 8.0, 16.0)  # between tries to add an entry
MOST_RACES = 100  # of workers that take one shard up at once


class Fenced(Exception):
    """The shard is another worker's, or closed: nothing more is to be done here."""


class ShardLog:
    """One shard's. `history` is what it says."""

    def __init__(self, objects: Objects, batch_id: str, shard: int) -> None:
        self.history = History()
        self._objects = objects
        self._batch_id = batch_id
        self._shard = shard
        self._length = 0
        self._adding = asyncio.Lock()

    async def take_up(self, worker: str) -> None:
        """Read it, and fence off whoever had the shard; `worker` is a name that nobody else has.

        Of a log that is closed nothing is taken: `history` says so. Raises Fenced where too many want the shard,
        ObjectsUnavailable.
        """
        for _ in range(MOST_RACES):
            await self._read()
            if self.history.closed:
                return
            try:
                await self.add(Attempt(self.history.attempts + 1, worker))
                return
            except Fenced:
                continue  # there is something new to be read
        raise Fenced

    async def add(self, entry: Entry) -> None:
        """Add an entry. Raises Fenced, ObjectsUnavailable."""
        content = written(entry)
        async with self._adding:
            try:
                await self._put(log_entry(self._batch_id, self._shard, self._length), content)
            except Exists:
                raise Fenced from None
            self._length += 1
            self.history.add(entry)

    async def intact(self) -> bool:
        """Whether the log is still there. One of a batch that is over is removed, and an entry of who comes too late
        would be the first of a new one. Raises ObjectsUnavailable."""
        first = log_entry(self._batch_id, self._shard, 0)
        return await self._objects.size(first) is not None

    async def _read(self) -> None:
        self.history, self._length = History(), 0
        try:
            async for entry in entries(self._objects, self._batch_id, self._shard):
                self.history.add(entry)
                self._length += 1
        except Missing:
            raise Fenced from None  # it is being removed

    async def _put(self, key: str, content: bytes) -> None:
        for pause in PAUSES_S:
            try:
                await self._objects.put_new(key, content)
                return
            except ObjectsUnavailable:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
        await self._objects.put_new(key, content)
