"""`client.batches`, asynchronous: files of requests, each answered once."""

import asyncio
from collections.abc import Callable
from typing import Unpack

from penstock.client.answers import Batch, BatchPage, read_answer
from penstock.client.call import AsyncCaller
from penstock.client.errors import PenstockError
from penstock.client.file_calls import batch_call, batches_call, cancel_call, new_batch_call
from penstock.client.parameters import BatchArguments, BatchesParameters
from penstock.client.waiting import POLL, Waiting


class AsyncBatches:
    """`client.batches`. Every method raises PenstockError, and TypeError for arguments that it does not take."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def create(self, **arguments: Unpack[BatchArguments]) -> Batch:
        """Have the lines of an uploaded file answered."""
        return read_answer(Batch, await self._caller.whole(new_batch_call(arguments)))

    async def list(self, **arguments: Unpack[BatchesParameters]) -> BatchPage:
        """The batches, the newest first."""
        return read_answer(BatchPage, await self._caller.whole(batches_call(arguments)))

    async def retrieve(self, batch_id: str) -> Batch:
        """A batch, and how far it has come."""
        return read_answer(Batch, await self._caller.whole(batch_call(batch_id)))

    async def cancel(self, batch_id: str) -> Batch:
        """Have no more of its lines begun; what was done until then is in its files."""
        return read_answer(Batch, await self._caller.whole(cancel_call(batch_id)))

    async def wait(
        self,
        batch_id: str,
        *,
        progress: Callable[[Batch], None] | None = None,
        poll: float = POLL,
        timeout: float | None = None,  # noqa: ASYNC109 (what it raises says how far the batch has come)
    ) -> Batch:
        """Wait for a batch's end, whatever end that is. `progress` is told of each look at it.

        Looks are rarer and rarer, up to one in `poll` seconds, and go on while the API is away for minutes. Raises
        StillRunning after `timeout` seconds: the batch itself goes on.
        """
        waiting = Waiting(batch_id, poll=poll, timeout=timeout)
        while True:
            try:
                batch = read_answer(Batch, await self._caller.whole(waiting.call))
            except PenstockError as error:
                pause = waiting.missed(error)
            else:
                if progress is not None:
                    progress(batch)
                ended = waiting.seen(batch)
                if ended is None:
                    return batch
                pause = ended
            await asyncio.sleep(pause)
