"""The scheduler at work without a model: pages hold hashes, answers are fake, and every step is checked.

A place of a page holds the hash of all tokens up to it, under the salt of whoever wrote it. So wherever a
plan would read what is not there, was overwritten, or is another owner's, the check of its rows says so.
"""

from dataclasses import dataclass, field
from random import Random

from functions.gpu.engine.pace import Pace
from functions.gpu.engine.pages import PagePool
from functions.gpu.engine.scheduler import Plan, Row, Scheduler
from functions.gpu.engine.sequence import Sequence


@dataclass(frozen=True)
class Sizes:
    """Of a scheduler."""

    pages: int = 8
    page_tokens: int = 2
    max_running: int = 4
    step_tokens: int = 8
    least: int = 2  # tokens of prompts

    @property
    def capacity(self) -> int:
        """Tokens that all pages hold."""
        return self.pages * self.page_tokens


@dataclass
class Life:
    """What will become of one sequence, and what did."""

    late: float = 0.0  # how often its next token is not there in time
    cancelled_after: int | None = None  # steps
    spoilt: bool = False  # whether it is taken out for an error
    begun: int = 0  # how often it was said to begin
    forked: bool = False


@dataclass
class Simulation:
    """One scheduler and the sequences it knows."""

    sizes: Sizes
    random: Random = field(default_factory=lambda: Random(0))
    lives: dict[Sequence, Life] = field(default_factory=dict)  # of those that are not gone
    steps: int = 0

    def __post_init__(self) -> None:
        sizes = self.sizes
        pace = Pace(stretch=2.0, step_tokens=sizes.step_tokens, least=sizes.least)
        self.pool = PagePool(sizes.pages)
        self.scheduler = Scheduler(self.pool, pace, page_tokens=sizes.page_tokens, max_running=sizes.max_running)
        self.places: list[list[object]] = [["garbage"] * sizes.page_tokens for _ in range(sizes.pages)]

    def submit(self, sequence: Sequence, life: Life | None = None) -> None:
        """Let a sequence wait. Its siblings live as it does."""
        for one in (sequence, *sequence.siblings):
            self.lives[one] = life or Life()
        self.scheduler.waiting.add(sequence)

    def step(self) -> Plan:
        """Plan, check, compute, check, and let everybody grow who is at its end."""
        self._cancel()
        plan = self.scheduler.plan()
        self._check(plan)
        for page in plan.pages:
            self.places[page] = [None] * self.sizes.page_tokens
        for row in plan.rows:
            self._compute(row)
        self.scheduler.computed(plan.rows)
        self._check_pages()
        for sequence in list(self.scheduler.running):
            self._grow(sequence)
        self._check_pages()
        self.steps += 1
        return plan

    # What a step does.

    def _compute(self, row: Row) -> None:
        size = self.sizes.page_tokens
        for at, content in enumerate(self._contents(row.sequence)[row.start : row.end], row.start):
            self.places[row.sequence.pages[at // size]][at % size] = content

    def _grow(self, sequence: Sequence) -> None:
        life = self.lives[sequence]
        if sequence.computed < len(sequence) or self.random.random() < life.late:
            return
        family = [sequence, *self._fork(sequence)]
        for one in family:
            if one.sampling.max_tokens:
                one.output.append(self.random.randrange(2))
            if len(one.output) >= one.sampling.max_tokens:
                self._leave(one)

    def _fork(self, sequence: Sequence) -> list[Sequence]:
        siblings, sequence.siblings = sequence.siblings, []
        for sibling in siblings:
            sibling.begun = True
            copy = self.scheduler.fork(sequence, sibling)
            if copy is not None:
                source, target = copy
                self.places[target] = self.places[source].copy()
        return siblings

    def _cancel(self) -> None:
        for sequence, life in list(self.lives.items()):
            if life.cancelled_after is not None and life.cancelled_after <= self.steps:
                self._leave(sequence, spoilt=life.spoilt)

    def _leave(self, sequence: Sequence, *, spoilt: bool = False) -> None:
        self.scheduler.leave(sequence, spoilt=spoilt)
        self.lives.pop(sequence)

    def _contents(self, sequence: Sequence) -> list[object]:
        contents: list[object] = []
        before: int = hash(sequence.salt)
        for token in sequence.tokens(0, len(sequence)):
            before = hash((before, token))
            contents.append(before)
        return contents

    # What must hold.

    def _check(self, plan: Plan) -> None:
        running = self.scheduler.running
        rows = plan.rows
        assert len({row.sequence for row in rows}) == len(rows)
        assert all(row.sequence in running for row in rows)
        assert sum(row.end - row.start for row in rows) <= self.sizes.step_tokens
        assert len(running) <= self.sizes.max_running
        assert running == sorted(running, key=lambda one: one.order)
        assert {one for one in running if one.decoding} <= {row.sequence for row in rows}
        assert all(row.sequence.decoding and row.end - row.start == 1 for row in plan.decoding)
        for row in rows:
            assert row.start == row.sequence.computed < row.end <= len(row.sequence)
            assert row.end <= len(row.sequence.pages) * self.sizes.page_tokens
        self._check_oldest(plan)
        self._check_new_pages(plan)
        self._check_writes(plan)
        for sequence in plan.begun:
            self.lives[sequence].begun += 1
            assert self.lives[sequence].begun == 1

    def _check_oldest(self, plan: Plan) -> None:
        """The oldest that has something to compute is in the plan, whoever has to wait for it."""
        able = [one for one in self.scheduler.running if one.computed < len(one)]
        assert not able or able[0] in [row.sequence for row in plan.rows]
        if not self.scheduler.running:
            assert not self.scheduler.waiting

    def _check_new_pages(self, plan: Plan) -> None:
        """New pages are named once, and hold nothing that anybody computed."""
        assert len(set(plan.pages)) == len(plan.pages)
        size = self.sizes.page_tokens
        for one in self.scheduler.running:
            assert not set(plan.pages) & set(one.pages[: -(-one.computed // size)])

    def _check_writes(self, plan: Plan) -> None:
        """Where a row writes, nobody else has a page; what is shared are full pages."""
        size = self.sizes.page_tokens
        for row in plan.rows:
            written = set(row.sequence.pages[row.start // size : -(-row.end // size)])
            others = [one for one in self.scheduler.running if one is not row.sequence]
            assert not any(written & set(one.pages) for one in others)

    def _check_pages(self) -> None:
        """All that is said to be computed is in the pages, and every page has an owner or none."""
        size = self.sizes.page_tokens
        held = {page for one in self.scheduler.running for page in one.pages}
        assert self.pool.used == len(held)
        for one in self.scheduler.running:
            found = [place for page in one.pages for place in self.places[page]][: one.computed]
            assert found == self._contents(one)[: one.computed]
            assert len(one.pages) <= -(-len(one) // size)
        for one in self.scheduler.waiting.sequences():
            assert not one.pages
            assert not one.computed
