"""One request's generation: the engine's events, counted as they are born and settled as they end.

It runs in a task of its own, so that what is billed is what was generated, however slowly it is read. Its
events wait in a mailbox of hardly more than one a token, so `max_tokens` bounds what a slow reader can hold.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from types import TracebackType
from typing import Self

from functions.gpu.count import Count
from functions.gpu.engine import Engine, EngineError, Finished
from functions.gpu.line_tenure import LineTenure
from functions.gpu.settlement import Outcome
from functions.gpu.tenure import Tenure
from functions.gpu.watch import Watch
from functions.gpu.work import Embedded, Happening, Work
from penstock.ledger import Usage


class Generation:
    """The work under a tenure, begun on entering and ended, its slot freed, on leaving.

    Its last event is that of the last of all its choices. An engine that takes longer than the tenure's `silence_s`
    for one event counts as stuck: a place in its queue comes before the first.
    """

    def __init__(self, engine: Engine, work: Work, tenure: Tenure | LineTenure) -> None:
        self.first_token_at: float | None = None  # seconds, of the monotonic clock
        self._engine = engine
        self._work = work
        self._tenure = tenure
        self._reading, self._silence = Watch(), Watch()
        self._decided = asyncio.Event()  # whether there is anything to claim
        self._mailbox: asyncio.Queue[Happening | Exception] = asyncio.Queue()
        self._count = Count()
        self._to_come = self._to_read = work.results  # last events: of the engine's, and of whoever reads

    async def __aenter__(self) -> Self:
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._running.cancel()
        await asyncio.wait({self._running})
        self._reading.close()
        self._silence.close()

    async def taken_up(self) -> None:
        """Wait until the lease is ours, or the engine has refused at once. Raises Conflict, Unavailable."""
        await self._decided.wait()
        await self._tenure.claimed()

    @property
    def usage(self) -> Usage:
        """What was used so far; after the last event, what is booked."""
        return self._tenure.usage

    @property
    def over(self) -> bool:
        """Whether the last event was read."""
        return self._to_read == 0

    async def events(self, until: float | None = None) -> list[Happening]:
        """All that has come since, at least one event; none where none comes until then, by the loop's clock.

        Raises what the generation failed of, after whatever came before.
        """
        try:
            with self._reading.until(until):
                came = [await self._mailbox.get()]
        except TimeoutError:
            return []
        while not self._mailbox.empty():
            came.append(self._mailbox.get_nowait())
        events = [event for event in came if not isinstance(event, Exception)]
        if isinstance(failure := came[-1], Exception):  # nothing comes after it
            if not events:
                raise failure
            self._mailbox.put_nowait(failure)
        self._to_read -= sum(isinstance(event, Finished | Embedded) for event in events)
        return events

    async def _run(self) -> None:
        last: Happening | Exception
        outcome = Outcome.CANCELLED
        try:
            last = await self._generate()
            outcome = Outcome.COMPLETED
        except Exception as error:
            last = error
            outcome = Outcome.ERROR
        finally:
            self._decided.set()
            await self._tenure.settle(outcome)
        # After the settlement, so that whoever has read the last event finds its usage booked.
        self._mailbox.put_nowait(last)

    async def _generate(self) -> Happening:
        """Every event into the mailbox but the last, which is given back."""
        async with aclosing(self._work.events(self._engine, self._tenure.owner)) as events:
            event = await self._first(events)
            while self._to_come > 0:
                self._mailbox.put_nowait(event)
                event = await self._next(events)
            return event

    async def _first(self, events: AsyncGenerator[Happening, None]) -> Happening:
        """The first event, with the claim going on beside it.

        The claim begins as soon as the engine's first step waits for anything: an engine that refuses at
        once, because its queue is full, leaves nothing claimed.
        """
        asyncio.get_running_loop().call_soon(self._claim)
        event = await self._next(events)
        self._claim()
        return event

    def _claim(self) -> None:
        """Begin the claim, unless it is begun, or the run has ended without one."""
        if not self._decided.is_set():
            self._tenure.begin(self._work.bound)
            self._decided.set()

    async def _next(self, events: AsyncGenerator[Happening, None]) -> Happening:
        try:
            with self._silence.within(self._tenure.silence_s):
                event = await anext(events)
        except TimeoutError:
            raise EngineError(f"no event within {self._tenure.silence_s:g} seconds") from None
        except StopAsyncIteration:
            raise EngineError("the events ended without the last one") from None
        self._taken(event)
        return event

    def _taken(self, event: Happening) -> None:
        self._to_come -= isinstance(event, Finished | Embedded)
        if self._count.add(event) and self.first_token_at is None:
            self.first_token_at = time.monotonic()
        self._tenure.used(self._count.usage)
