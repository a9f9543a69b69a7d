"""A choice's way through its grammar: which tokens may come next.

Promises that the thread that runs the model never waits for a mask: they are computed by a few threads of
their own, while the model computes the next logits, and asked for without waiting. A mask that comes too late
fails its own choice alone. Computing a mask lets other Python threads run; taking in a token does not, and
is a matter of microseconds.

A matcher is used by one job at a time: between `start` and `take` nothing else may be called on it but
`ready`. The matchers of one grammar share its automaton, which grows as they go, and take turns at it.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch

from functions.gpu.engine.protocol import EngineError

THREADS = 2
PATIENCE = 10.0  # seconds that a mask may take, with those before it
LINE = 200  # characters of llguidance's messages that are passed on


@dataclass(slots=True, eq=False)
class Automaton:
    """What the matchers of one grammar share."""

    root: Any  # an LLMatcher that has seen nothing
    tokens: int  # that llguidance knows; at least the vocabulary's
    vocabulary_size: int
    # llguidance has a lock of its own around the lexer, but waits for it with Python's held.
    lock: threading.Lock = field(default_factory=threading.Lock)
    failed: bool = False  # a matcher failed: perhaps its states are used up, and it must be compiled again


class MaskWorkers:
    """The threads that compute masks. Each choice in the batch has at most one job here."""

    def __init__(self, threads: int = THREADS) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="mask")

    def submit(self, job: Callable[[], Any]) -> "Future[Any]":
        """Run a job when a thread is free. Raises EngineError once closed."""
        try:
            return self._pool.submit(job)
        except RuntimeError as error:
            raise EngineError("the engine is closed") from error

    def close(self) -> None:
        """Start no more jobs; those that run go on to their end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


class Matcher:
    """The state of one choice. `mask` and `advance` work at once; `start`, `ready` and `take` by the workers."""

    def __init__(self, automaton: Automaton, workers: MaskWorkers) -> None:
        self._automaton = automaton
        self._workers = workers
        self._inner: Any = None  # copied by the first job
        self._done = False
        self._late_at = 0.0
        self.job: Future[Any] | None = None  # the one that was started, for whoever waits for the first of several

    @property
    def done(self) -> bool:
        """Whether the answer is complete and nothing more may come. As of the last token taken in."""
        return self._done

    def mask(self) -> Any:
        """The tokens that may come next: a fresh int32 tensor [ceil(vocabulary / 32)], lowest bit first.

        Bits past the vocabulary mean nothing. End tokens may come exactly where the grammar may end.
        Raises EngineError.
        """
        return self._step(None)

    def advance(self, token: int) -> None:
        """Take in a token that the mask allowed. Raises EngineError for any other."""
        with self._automaton.lock:
            self._consume(token)

    def start(self, token: int | None = None) -> None:
        """Have the next mask computed, after `token` if there is one."""
        self._late_at = time.monotonic() + PATIENCE
        self.job = self._workers.submit(lambda: self._step(token))

    def ready(self) -> bool:
        """Whether `take` has something to say."""
        return self.job is not None and (self.job.done() or time.monotonic() >= self._late_at)

    def take(self) -> Any:
        """The mask that was started. Raises EngineError where it failed, or is late."""
        job, self.job = self.job, None
        if job is None:
            raise EngineError("no mask was started")
        if not job.done():
            job.cancel()
            raise EngineError(f"what may come next was not known within {PATIENCE:.0f} s")
        return job.result()

    def _step(self, token: int | None) -> Any:
        with self._automaton.lock:
            if token is not None:
                self._consume(token)
            return self._compute()

    def _consume(self, token: int) -> None:
        if not self._copy().consume_token(token):
            raise self._failure(f"token {token} does not fit")
        self._done = bool(self._inner.is_stopped())

    def _compute(self) -> Any:
        inner = self._copy()
        mask = torch.empty(_words(self._automaton.tokens), dtype=torch.int32)
        inner.unsafe_compute_mask_ptr(mask.data_ptr(), mask.numel() * 4)  # bounded by its length, checked there
        if inner.is_error():
            raise self._failure("nothing may come next")
        return mask[: _words(self._automaton.vocabulary_size)]

    def _copy(self) -> Any:
        if self._inner is None:
            self._inner = self._automaton.root.deep_copy()
        return self._inner

    def _failure(self, what: str) -> EngineError:
        self._automaton.failed = True
        reason = self._inner.get_error().strip().partition("\n")[0][:LINE]
        return EngineError(f"the grammar failed: {reason or what}")


def _words(bits: int) -> int:
    return -(-bits // 32)
