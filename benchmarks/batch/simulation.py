"""`python -m benchmarks.batch.simulation`: a batch on very many containers, event by event, on one computer.

Containers work as Penstock's do. Each has a few shards; of each it begins the next slice when the last line of the one
before has a place (functions.gpu.shards). A slice is reserved, begun in the log, run, ended in the log, settled and
released; its lease lives until its longest answer is there, while the next slices' lines are answered. What is
simulated is who waits for whom; the times are parameters, each with where it comes from in TIMES.

The account's item is a queue: a partition of DynamoDB takes 1,000 write units a second, and each write takes one for
each KB of the item, which grows with the live leases. DynamoDB does not queue but throttles, and the ledger comes again
after a pause: where the item is busy all the time, things are worse than here. No container dies, and none waits for
another's GPU; the machine of batches is not in the model, for it does one thing a shard. The cap on an account's shards
is not kept, so that it is seen what it is for.
"""

import argparse
import heapq
import random
import time
from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field, replace
from itertools import count

from benchmarks.ledger.cost import PARTITION_UNITS
from benchmarks.ledger.item_size import write_units
from benchmarks.report import Column, Report, Row, Table
from functions.gpu.shards.admission import MOST_ANSWERS
from functions.gpu.shards.capacity import Capacity
from functions.gpu.shards.line import ENVELOPE_BYTES, TOKEN_BYTES
from penstock.settings import BatchSettings

MOMENT = 1e-6  # seconds, within which two times are the same
ANSWER_TOKENS = 16_384  # that a line may have, where it may have many

Wait = Generator[float, None, None]
"""A part of what somebody does: it gives the seconds that pass, one after the other."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds, bytes and rates of everything that takes time."""

    cold_start: float = 30.0  # assumed: until a container has its model
    tokens_per_s: float = 4_000.0  # assumed for an H100, as in docs/cost.md: all answers of a container together
    answer_tokens: float = 300.0  # assumed, of a line, on the average; exponentially spread, without an end
    running: int = 64  # lines that an engine answers side by side: PENSTOCK_MAX_RUNNING, as it is unless said
    line_cpu: float = 0.002  # measured: `scripts/bench batch`, the worker's part of a line
    put: float = 0.1  # published: S3's small objects, 100 to 200 ms
    write: float = 0.008  # published: a write of DynamoDB from Lambda (docs/scale.md)
    transaction: float = 0.025  # published, there
    item: int = 617  # computed: bytes of an account's item with one key, and
    live: int = 55  # of each live lease of several requests (docs/scale.md)
    shards: int = 2  # that a container has (docs/batch.md)

    @property
    def places(self) -> int:
        """Lines that a container has under way, some of them waiting in its engine."""
        return 2 * self.running

    @property
    def line(self) -> float:
        """Seconds that a line is answered for, on the average, in an engine that is full."""
        return self.running * self.answer_tokens / self.tokens_per_s

    @property
    def ahead(self) -> float:
        """Seconds that an engine can work on lines that have a place and have not begun."""
        return (self.places - self.running) * self.answer_tokens / self.tokens_per_s


TIMES = Times()


@dataclass(frozen=True, slots=True)
class Setting:
    """A batch, and who works on it."""

    containers: int
    accounts: int  # over which it is spread
    slice_lines: int
    lines: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a setting."""

    seconds: float
    lines_per_s: float
    engines_busy: float  # share of the time that containers were there in which their engines had work
    items_busy: float  # share of the time from the first one on in which the accounts' items were written
    most_live: int  # leases of one account


class Clock:
    """Simulated time, and what happens next in it."""

    def __init__(self) -> None:
        self.now = 0.0
        self._next: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()

    def after(self, seconds: float, then: Callable[[], None]) -> None:
        """Do it after so many seconds."""
        heapq.heappush(self._next, (self.now + seconds, next(self._numbers), then))

    def begin(self, doing: Wait) -> None:
        """Let somebody do something, whenever what they wait for has passed."""

        def go_on() -> None:
            for seconds in doing:
                self.after(seconds, go_on)
                return

        self.after(0.0, go_on)

    def run(self) -> None:
        """Until nothing is left to happen."""
        while self._next:
            self.now, _, then = heapq.heappop(self._next)
            then()


@dataclass(slots=True)
class Server:
    """Serves one after the other, in the order in which they come."""

    clock: Clock
    free_at: float = 0.0
    busy: float = 0.0

    @property
    def backlog(self) -> float:
        """Seconds until nobody waits."""
        return max(self.free_at - self.clock.now, 0.0)

    def serve(self, seconds: float) -> float:
        """Be served for so long; seconds until that is over."""
        begin = max(self.free_at, self.clock.now)
        self.free_at = begin + seconds
        self.busy += seconds
        return self.free_at - self.clock.now


@dataclass(slots=True)
class AccountItem:
    """One account's item."""

    server: Server
    times: Times
    live: int = 0
    most_live: int = 0

    def write(self, live: int) -> float:
        """A write after which so many more leases live; seconds until it is acknowledged."""
        units = write_units(self.times.item + self.times.live * max(self.live, self.live + live))
        self.live += live
        self.most_live = max(self.most_live, self.live)
        return self.server.serve(units / PARTITION_UNITS) + self.times.write


@dataclass(slots=True)
class Simulation:
    """One run."""

    setting: Setting
    times: Times
    clock: Clock = field(default_factory=Clock)
    ended: float = 0.0

    def run(self, seed: int = 1) -> Outcome:
        """Work all lines off."""
        setting, chance = self.setting, random.Random(seed)
        items = [AccountItem(Server(self.clock), self.times) for _ in range(setting.accounts)]
        slices = -(-setting.lines // setting.slice_lines)
        left = [deque(range(number, slices, setting.accounts)) for number in range(setting.accounts)]
        engines = [Server(self.clock) for _ in range(setting.containers)]
        starts = [self.times.cold_start * chance.uniform(0.5, 1.5) for _ in engines]
        for number, (engine, start) in enumerate(zip(engines, starts, strict=True)):
            account = number % setting.accounts
            for _ in range(self.times.shards):
                self.clock.begin(self._shards(start, engine, items[account], left[account], chance))
        self.clock.run()
        return Outcome(
            seconds=self.ended,
            lines_per_s=setting.lines / self.ended,
            engines_busy=sum(engine.busy for engine in engines) / sum(self.ended - start for start in starts),
            items_busy=sum(item.server.busy for item in items) / (self.ended - min(starts)) / setting.accounts,
            most_live=max(item.most_live for item in items),
        )

    def _shards(
        self, start: float, engine: Server, item: AccountItem, left: "deque[int]", chance: random.Random
    ) -> Wait:
        """One slice after the other, of those that are left to the account."""
        yield start
        while left:
            if (wait := engine.backlog - self.times.ahead) > MOMENT:  # until a place is free
                yield wait
                continue
            left.popleft()
            yield item.write(1)
            yield self.times.put
            begun = engine.serve(self._service(chance))
            self.clock.begin(self._end(begun + self._last(chance), item))

    def _end(self, answered: float, item: AccountItem) -> Wait:
        """What comes of a slice whose last line has its answer by then."""
        yield answered
        yield self.times.put
        yield self.times.transaction
        yield item.write(-1)
        self.ended = self.clock.now

    def _service(self, chance: random.Random) -> float:
        """Seconds that an engine has with a slice, its lines side by side with those of others."""
        lines = self.setting.slice_lines
        tokens = chance.gammavariate(lines, self.times.answer_tokens)  # the sum of so many exponential lengths
        return max(tokens / self.times.tokens_per_s, lines * self.times.line_cpu)

    def _last(self, chance: random.Random) -> float:
        """Seconds from when a slice's last line has begun until its longest one has ended."""
        # What is left of exponential lengths is as long as a whole one, however much of them is done.
        lines = min(self.setting.slice_lines, self.times.running)
        return self.times.line * max(chance.expovariate(1.0) for _ in range(lines))


def table(settings: Sequence[Setting], times: Times) -> Table:
    """What came of each setting."""
    rows: list[Row] = []
    for setting in settings:
        outcome = Simulation(setting, times).run()
        rows.append(
            {
                "containers": f"{setting.containers:,}",
                "accounts": setting.accounts,
                "slice_lines": setting.slice_lines,
                "lines_per_s": outcome.lines_per_s,
                "engines_busy_percent": 100 * outcome.engines_busy,
                "items_busy_percent": 100 * outcome.items_busy,
                "most_live": outcome.most_live,
                "minutes": outcome.seconds / 60,
            }
        )
    columns = (
        Column("containers", "containers"),
        Column("accounts", "accounts"),
        Column("slice_lines", "lines a slice"),
        Column("lines_per_s", "lines/s"),
        Column("engines_busy_percent", "engines busy", " %"),
        Column("items_busy_percent", "items busy", " %"),
        Column("most_live", "live leases at most"),
        Column("minutes", "minutes"),
    )
    notes = (
        f"{settings[0].lines:,} lines of {times.answer_tokens:g} tokens, {times.tokens_per_s:g} tokens/s a container;",
        "the cold start and the last answers are in the minutes and in the lines a second.",
    )
    return Table("simulation", "A batch on many containers, simulated", columns, rows, notes)


def slices(times: Times) -> Sequence[int]:
    """Lines of a slice: of a whole shard, and where its lines may have long answers."""
    lines: int = BatchSettings.model_fields["shard_lines"].default
    most = Capacity(times.places).in_slice(lines)
    return most, min(most, MOST_ANSWERS // (ENVELOPE_BYTES + ANSWER_TOKENS * TOKEN_BYTES))


def main() -> None:
    """The table, or the one JSON object, on standard output."""
    parser = argparse.ArgumentParser(prog="benchmarks.batch.simulation", description="Simulate a large batch.")
    parser.add_argument("--lines", type=int, default=2_000_000)
    parser.add_argument("--answer-tokens", type=float, default=TIMES.answer_tokens)
    parser.add_argument("--tokens-per-s", type=float, default=TIMES.tokens_per_s, help="of a container")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    options = parser.parse_args()
    times = replace(TIMES, answer_tokens=options.answer_tokens, tokens_per_s=options.tokens_per_s)
    settings = [
        Setting(containers, accounts, slice_lines, options.lines)
        for slice_lines in slices(times)
        for containers, accounts in ((10, 1), (100, 1), (200, 1), (300, 1), (1_000, 1), (1_000, 10))
    ]
    begun = time.monotonic()
    tables = [table(settings, times)]
    report = Report("simulation", quick=False, tables=tables, seconds=time.monotonic() - begun)
    print(report.json() if options.json else report.text())


if __name__ == "__main__":
    main()
