"""What the engine's thread notes while it works, and the snapshot that others read.

`phases` holds the seconds that each part of all steps took, and under `steps` how many there were.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from functions.gpu.engine.figures import (
    FIRST_TOKEN_BOUNDS,
    INTER_TOKEN_BOUNDS,
    Figures,
    Rate,
    Tally,
)
from functions.gpu.engine.generation import Generation
from functions.gpu.engine.pace import Pace
from functions.gpu.engine.places import Places
from functions.gpu.engine.scheduler import Scheduler
from functions.gpu.engine.sequence import Sequence


class Meters:
    """One engine's."""

    def __init__(self, scheduler: Scheduler, pace: Pace, places: Places, page_tokens: int) -> None:
        self.phases = {"plan": 0.0, "forward": 0.0, "sample": 0.0, "emit": 0.0, "steps": 0.0}
        self._scheduler = scheduler
        self._pace = pace
        self._places = places
        self._page_tokens = page_tokens
        self._now = time.monotonic()
        self._step_s = 0.0
        self._first_token, self._inter_token = Tally(FIRST_TOKEN_BOUNDS), Tally(INTER_TOKEN_BOUNDS)
        self._rate = Rate()
        self._requests = self._failed = self._prompt = self._cached = self._completion = self._steps = 0

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Time a part of a step."""
        began = time.perf_counter()
        self._now = time.monotonic()
        yield
        seconds = time.perf_counter() - began
        self.phases[name] += seconds
        self._step_s = seconds if name == "plan" else self._step_s + seconds

    def begun(self, sequence: Sequence) -> None:
        """A sequence begins for the first time, and with its first one a request."""
        generation = sequence.generation
        if not generation.begun:
            generation.begun = True
            self._requests += 1
            self._places.free(generation.owner, begun=True)

    def gone(self, generation: Generation) -> None:
        """A request ends before its time; one that never began gives its place back."""
        if not generation.begun:
            generation.begun = True
            self._places.free(generation.owner, begun=False)

    def prefilled(self, sequence: Sequence) -> None:
        """A prompt is computed."""
        self._prompt += len(sequence.prompt)
        self._cached += sequence.cached_tokens

    def token(self, sequence: Sequence) -> None:
        """A sequence has one token more."""
        if len(sequence.output) == 1:
            self._first_token.add(self._now - sequence.generation.submitted_at)
        else:
            self._inter_token.add(self._now - sequence.last_token_at)
        sequence.last_token_at = self._now
        self._completion += 1

    def failed(self) -> None:
        """A request failed."""
        self._failed += 1

    def stepped(self, decoding: int, prompt_tokens: int) -> None:
        """A step is done, all but the telling."""
        self._steps += 1
        self.phases["steps"] += 1
        self._rate.add(self._completion - self._rate.total, self._now)
        if decoding or prompt_tokens:
            self._pace.observe(decoding, prompt_tokens, self._step_s)

    def figures(self) -> Figures:
        """A snapshot, by any thread."""
        pool = self._scheduler.pool
        return Figures(
            waiting=self._places.waiting,
            running=len(self._scheduler.running),
            pages=pool.count,
            pages_used=pool.used,
            pages_cached=pool.idle,
            page_tokens=self._page_tokens,
            tokens_per_s=self._rate.per_second(time.monotonic()),
            requests_total=self._requests,
            failed_total=self._failed,
            refused_total=self._places.refused,
            prompt_tokens_total=self._prompt,
            cached_tokens_total=self._cached,
            completion_tokens_total=self._completion,
            preemptions_total=self._scheduler.preemptions,
            steps_total=self._steps,
            first_token=self._first_token.histogram(),
            inter_token=self._inter_token.histogram(),
        )
