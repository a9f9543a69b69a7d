"""A slice under way: its lines are answered, each as soon as it has a place; what they came to is one entry of the log,
then one settlement.

Only what is in that entry exists. It is written before the lease is settled, so whoever takes the shard over, or joins
its results, settles the very same again. Lines that had no answer when the work ended are in no entry, and cost
nothing; nor do those that were answered in a slice whose worker died.
"""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.settlement import Outcome
from functions.gpu.shards.answers import Answer, Answers
from functions.gpu.shards.capacity import Capacity
from functions.gpu.shards.ending import Ending, Why
from functions.gpu.shards.giving_back import give_back
from functions.gpu.shards.history import plus
from functions.gpu.shards.line import Line
from functions.gpu.shards.shard_log import Fenced, ShardLog
from penstock.batches.log import Ended, Result
from penstock.ledger import Lease, Usage

Answered = dict[int, tuple[Line, Answer]]
"""Lines with their answers, by the lines' numbers."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Lines that were begun, and what was set aside for them.

    `told` are results of others, which are written down with theirs. One that is `alone` has all places, and gives them
    back at its end; else each line asks for one, and `placed` is set when none waits any more.
    """

    number: int
    lines: Sequence[Line]
    told: Sequence[Result]
    lease: Lease
    alone: bool
    placed: asyncio.Event = field(default_factory=asyncio.Event)


class Running:
    """How the slices of one attempt are run."""

    def __init__(
        self, log: ShardLog, answers: Answers, bookkeeper: Bookkeeper, capacity: Capacity, ending: Ending
    ) -> None:
        self._log = log
        self._answers = answers
        self._bookkeeper = bookkeeper
        self._capacity = capacity
        self._ending = ending

    async def run(self, begun: Slice) -> None:
        """Answer the lines and write down what came of them, or of those that were answered when the end came.

        Raises Fenced, Broken, ObjectsUnavailable: then nothing was written, or nobody knows.
        """
        answered = await self._answered(begun)
        if self._ending.why in (Why.LOST, Why.FAILED):
            await give_back(self._bookkeeper, begun.lease)
            return
        ended = _ended(begun, answered)
        if ended.lease is None:
            await give_back(self._bookkeeper, begun.lease)
        try:
            await self._log.add(ended)
            if not await self._log.intact():
                raise Fenced
        except Fenced:
            await give_back(self._bookkeeper, begun.lease)
            raise
        if ended.lease is not None:
            await self._bookkeeper.settle(ended.lease, ended.usage, Outcome.COMPLETED)

    async def _answered(self, begun: Slice) -> Answered:
        """The lines' answers, of those that have one. Raises Broken."""
        answers: Answered = {}

        async def answer(line: Line) -> None:
            answers[line.number] = line, await self._answers.answer(line, begun.lease)

        async def in_turn(line: Line) -> None:
            await self._capacity.take(1)
            try:
                if line is begun.lines[-1]:
                    begun.placed.set()
                await answer(line)
            finally:
                self._capacity.give(1)

        tasks = [asyncio.create_task(answer(line) if begun.alone else in_turn(line)) for line in begun.lines]
        coming = asyncio.create_task(self._ending.wait())
        try:
            await _all_or(coming, tasks)
        finally:
            coming.cancel()
            for task in tasks:
                task.cancel()
            await asyncio.wait({*tasks, coming})
            begun.placed.set()
            if begun.alone:
                self._capacity.give(self._capacity.most)
        for task in tasks:
            if not task.cancelled():
                task.result()
        return answers


async def _all_or(coming: "asyncio.Task[None]", tasks: Iterable["asyncio.Task[None]"]) -> None:
    """Wait for all tasks, or until one has failed, or until the end comes."""
    left = set(tasks)
    while left and not coming.done():
        done, _ = await asyncio.wait({*left, coming}, return_when=asyncio.FIRST_COMPLETED)
        left -= done
        if any(not task.cancelled() and task.exception() is not None for task in done):
            return


def _ended(begun: Slice, answers: Answered) -> Ended:
    """The entry. Lines that were refused or failed are no requests, and use nothing."""
    results, usage, completed = list(begun.told), Usage(), 0
    for number in sorted(answers):
        line, answer = answers[number]
        results.append(Result(number, answer.status, line.request_id, answer.body))
        if answer.status == 200:
            usage, completed = plus(usage, answer.usage), completed + 1
    lease = replace(begun.lease, requests=completed) if completed else None
    return Ended(begun.number, lease, usage, tuple(results))
