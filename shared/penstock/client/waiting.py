"""Waiting for a batch's end: when to look again, and when to give up. Decisions only, nothing here waits or asks.

The first look is soon and each later one after a longer pause, up to `poll`. An API that cannot be reached, or fails,
after it has been heard once is asked again for LOST_AFTER: the batch goes on without whoever waits for it.
"""

from collections.abc import Callable
from time import monotonic

from penstock.client.answers import Batch
from penstock.client.call import Call
from penstock.client.errors import ConnectionFailed, PenstockError, StatusError, StillRunning
from penstock.client.file_calls import batch_call

POLL = 10.0  # seconds between two looks, at most
LOST_AFTER = 600.0  # seconds
LOOK_WITHIN = 30.0  # seconds, for each answer
_FIRST_PAUSE = 0.25  # seconds
_GROWTH = 1.3

_PASSING = frozenset({408, 429})


class Waiting:
    """The looks at one batch. `timeout`, in seconds, bounds them all. Raises ValueError for times that are none."""

    def __init__(
        self, batch_id: str, *, poll: float, timeout: float | None, clock: Callable[[], float] = monotonic
    ) -> None:
        if not poll > 0 or (timeout is not None and not timeout >= 0):
            raise ValueError("poll must be more than 0 seconds, and timeout not less than 0")
        self.call: Call = batch_call(batch_id, LOOK_WITHIN)
        self._clock = clock
        self._poll = poll
        self._timeout = timeout
        self._end = None if timeout is None else clock() + timeout
        self._pause = min(_FIRST_PAUSE, poll)
        self._heard = clock()
        self._batch: Batch | None = None

    def seen(self, batch: Batch) -> float | None:
        """The pause before the next look, in seconds; None where the batch has ended. Raises StillRunning."""
        self._batch, self._heard = batch, self._clock()
        return None if batch.final else self._next(batch)

    def missed(self, error: PenstockError) -> float:
        """The pause after a look that failed. Raises the error where it stands, or StillRunning."""
        if self._batch is None or not _passes(error) or self._clock() - self._heard > LOST_AFTER:
            raise error
        return self._next(self._batch)

    def _next(self, batch: Batch) -> float:
        pause, self._pause = self._pause, min(self._pause * _GROWTH, self._poll)
        if self._end is None:
            return pause
        left = self._end - self._clock()
        if left <= 0:
            raise StillRunning(batch, self._timeout or 0)
        return min(pause, left)


def _passes(error: PenstockError) -> bool:
    if isinstance(error, StatusError):
        return error.status is not None and (error.status in _PASSING or error.status >= 500)
    return isinstance(error, ConnectionFailed)
