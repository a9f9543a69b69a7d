"""What the next step computes: which sequences, which of their tokens, on which pages.

Promises that whoever decodes gets a token each step unless the pages run out; that then the youngest gives
way and is computed again later, so that the oldest always ends; that prompts are begun by equal turns of
their owners (`fair_queue.py`), and that an owner with nothing running gets a place from one with many. A
sequence's pages are taken as it grows and given back when it leaves. Knows numbers, not tensors.
"""

from collections import Counter
from dataclasses import dataclass, field

from functions.gpu.engine.fair_queue import FairQueue
from functions.gpu.engine.pace import Pace
from functions.gpu.engine.pages import PagePool
from functions.gpu.engine.prefix import extend_keys
from functions.gpu.engine.sequence import Sequence


@dataclass(frozen=True, slots=True)
class Row:
    """Tokens of one sequence to be computed in a step: positions `start` to `end`, exclusive."""

    sequence: Sequence
    start: int
    end: int

    @property
    def samples(self) -> bool:
        """Whether its last position is the sequence's last: what follows is to be picked."""
        return self.end == len(self.sequence)


@dataclass(slots=True)
class Plan:
    """One step: what decodes, a token each, then chunks of what is read."""

    decoding: list[Row] = field(default_factory=list)
    reading: list[Row] = field(default_factory=list)
    begun: list[Sequence] = field(default_factory=list)  # for the first time
    pages: list[int] = field(default_factory=list)  # newly taken, with what others left in them

    @property
    def rows(self) -> list[Row]:
        """All rows, in the order of their tokens in the step."""
        return self.decoding + self.reading


class Scheduler:
    """The running sequences, those that wait, and the pages."""

    def __init__(self, pool: PagePool, pace: Pace, *, page_tokens: int, max_running: int) -> None:
        self.pool = pool
        self.waiting = FairQueue()
        self.running: list[Sequence] = []  # by arrival
        self.preemptions = 0
        self._pace = pace
        self._page_tokens = page_tokens
        self._max_running = max_running
        self._by_owner: Counter[str] = Counter()
        self._preempted: set[Sequence] = set()  # since the plan was begun
        self._taken: list[int] = []  # pages, for the plan

    def plan(self) -> Plan:
        """The next step. Sequences with nothing to compute wait for something else, and are left alone."""
        plan = Plan()
        self._preempted, self._taken = set(), plan.pages
        for sequence in self.running.copy():
            if sequence.decoding and self._grow(sequence, len(sequence)):
                plan.decoding.append(Row(sequence, sequence.computed, len(sequence)))
        reading = [one for one in self.running if not one.decoding]
        share = self._pace.share(len(plan.decoding), len(reading) + len(self.waiting))
        for sequence in reading:
            share -= self._read(plan, sequence, share)
        while share > 0 and (begun := self._begin()):
            plan.begun += [] if begun.begun else [begun]
            begun.begun = True
            share -= self._read(plan, begun, share)
        # Who was planned early may have had to give way to an older one since.
        plan.decoding = [row for row in plan.decoding if row.sequence not in self._preempted]
        plan.reading = [row for row in plan.reading if row.sequence not in self._preempted]
        plan.pages = list(dict.fromkeys(plan.pages))  # what one of them gave back, another may have taken
        return plan

    def computed(self, plan_rows: list[Row]) -> None:
        """The rows' tokens are computed: full pages may be found by others from now on."""
        for row in plan_rows:
            row.sequence.computed = row.end
            self._publish(row.sequence, row.start)

    def fork(self, sequence: Sequence, sibling: Sequence) -> tuple[int, int] | None:
        """Let a sibling share the pages of a computed prompt, where there is room; it runs or waits afterwards.

        Gives the page to copy and where to, if the prompt's last page is not full.
        """
        full, rest = divmod(len(sequence.prompt), self._page_tokens)
        if len(self.running) >= self._max_running or (last := self.pool.take(1 if rest else 0)) is None:
            self.waiting.add(sibling)
            return None
        self.pool.share(sequence.pages[:full])
        sibling.pages = sequence.pages[:full] + last
        sibling.keys = sequence.keys[:full]
        sibling.computed = len(sequence.prompt)
        self._run(sibling)
        return (sequence.pages[full], last[0]) if rest else None

    def leave(self, sequence: Sequence, *, spoilt: bool = False) -> None:
        """Take a sequence out, wherever it is. What spoilt ones computed is found by nobody."""
        if sequence not in self.running:
            self.waiting.remove(sequence)
            return
        if spoilt:
            self.pool.forget(sequence.pages)
        self._stop(sequence)

    def _begin(self) -> Sequence | None:
        """Begin the sequence whose turn it is, if it finds room."""
        sequence = self.waiting.next(self._by_owner)
        if sequence is None or sequence in self._preempted:
            return None
        while len(self.running) >= self._max_running:
            if not self._preempt_for(sequence):
                return None
        found = self._cached(sequence)
        # Each running sequence may need a page soon: who begins shall not throw another out at once.
        spare = len(self.running)
        while self._pages(len(sequence)) - len(found) + spare > self.pool.available and self.running:
            if not self._preempt_for(sequence):
                self.pool.give_back(found)
                return None
            spare = len(self.running)
        self.waiting.begin(sequence)
        sequence.pages = found
        sequence.computed = len(found) * self._page_tokens
        if not sequence.begun:
            sequence.cached_tokens = sequence.computed
        self._run(sequence)
        return sequence

    def _preempt_for(self, sequence: Sequence) -> bool:
        """Make room at the cost of the owner with the most running, if that leaves it no fewer than this one's."""
        owner, most = max(self._by_owner.items(), key=lambda item: item[1])
        if most - 1 < self._by_owner[sequence.owner] + 1:
            return False
        self._preempt(next(one for one in reversed(self.running) if one.owner == owner))
        return True

    def _cached(self, sequence: Sequence) -> list[int]:
        """Pages of its prefix, held for it. Its last token is always computed: what follows depends on it."""
        if not sequence.cacheable or sequence.sampling.prompt_logprobs is not None:
            return []
        full = (len(sequence) - 1) // self._page_tokens
        extend_keys(sequence, full, self._page_tokens)
        return self.pool.find(sequence.keys[:full])

    def _read(self, plan: Plan, sequence: Sequence, share: int) -> int:
        """Plan a chunk of a prompt; its tokens."""
        end = min(len(sequence), sequence.computed + share)
        if end <= sequence.computed or not self._grow(sequence, end):
            return 0
        plan.reading.append(Row(sequence, sequence.computed, end))
        return end - sequence.computed

    def _grow(self, sequence: Sequence, end: int) -> bool:
        """Give it pages for its tokens up to `end`, of younger ones if need be. False where it has to wait."""
        missing = self._pages(end) - len(sequence.pages)
        if missing <= 0:
            return sequence in self.running
        while sequence in self.running:
            pages = self.pool.take(missing)
            if pages is not None:
                sequence.pages += pages
                self._taken += pages
                return True
            self._preempt(self.running[-1])
        return False

    def _preempt(self, sequence: Sequence) -> None:
        """Take a sequence's pages; it waits to be computed again."""
        self._stop(sequence)
        self.waiting.add(sequence)
        self._preempted.add(sequence)
        self.preemptions += 1

    def _run(self, sequence: Sequence) -> None:
        place = len(self.running)
        while place and self.running[place - 1].order > sequence.order:
            place -= 1
        self.running.insert(place, sequence)
        self._by_owner[sequence.owner] += 1

    def _stop(self, sequence: Sequence) -> None:
        self.running.remove(sequence)
        self._by_owner[sequence.owner] -= 1
        if not self._by_owner[sequence.owner]:
            del self._by_owner[sequence.owner]
        self.pool.give_back(sequence.pages)
        sequence.pages, sequence.computed = [], 0

    def _publish(self, sequence: Sequence, start: int) -> None:
        if not sequence.cacheable:
            return
        full = sequence.computed // self._page_tokens
        first = start // self._page_tokens
        if full > first:
            extend_keys(sequence, full, self._page_tokens)
            for page in range(first, full):
                self.pool.publish(sequence.pages[page], sequence.keys[page])

    def _pages(self, tokens: int) -> int:
        return -(-tokens // self._page_tokens)
