"""Whether a call that failed is sent again, and when: decisions only, nothing here waits or sends.

A call may be repeated after any passing failure where a repetition is not paid for twice: a GET, a DELETE, an
upload to storage, or one under an `Idempotency-Key`. Any other only where nothing can have begun: the API was not
reached, or refused with 429 or 503. What the API says with `Retry-After` and `x-should-retry` goes before; it is not
waited for longer than LONGEST_PAUSE. While an earlier try of the same call is still running (409,
`idempotency_in_flight`), asking again is waiting for its answer and no retry: it is bounded by time, and not by number.
"""

from collections.abc import Callable
from dataclasses import KW_ONLY, dataclass
from random import random

from penstock.client.call import Call
from penstock.client.errors import ConnectionFailed, PenstockError, StatusError

MOST_RETRIES = 10
FIRST_BACKOFF = 0.5  # seconds; doubles up to LAST_BACKOFF
LAST_BACKOFF = 8.0  # seconds
LONGEST_PAUSE = 60.0  # seconds; limits per minute are open again by then

_NOTHING_BEGAN = frozenset({429, 503})
_PASSING = frozenset({408, 429})


@dataclass(slots=True)
class Tries:
    """The tries of one call. `patience` is how long it waits for an answer in flight, in seconds."""

    most: int  # retries
    _: KW_ONLY
    repeatable: bool
    patience: float
    chance: Callable[[], float] = random  # from 0 to 1
    retries: int = 0
    waited: float = 0.0

    def pause(self, error: PenstockError) -> float | None:
        """The seconds until the next try; None where there is to be none, and the error stands."""
        asked = error.retry_after if isinstance(error, StatusError) else None
        if not self.most or not _passes(error, repeatable=self.repeatable) or (asked or 0) > LONGEST_PAUSE:
            return None
        # Full jitter; on top of what was asked for, so that all who were refused do not come at once.
        pause = (asked or 0) + self.chance() * min(FIRST_BACKOFF * 2.0**self.retries, LAST_BACKOFF)
        if _in_flight(error):
            self.waited += pause
            return pause if self.waited <= self.patience else None
        if self.retries >= self.most:
            return None
        self.retries += 1
        return pause


def repeatable(call: Call) -> bool:
    """Whether the call may be sent twice and is done, and paid for, once."""
    return call.method != "POST" or call.idempotency_key is not None


def _passes(error: PenstockError, *, repeatable: bool) -> bool:
    if isinstance(error, ConnectionFailed):
        return repeatable or not error.sent
    if not isinstance(error, StatusError) or error.status is None:
        return False
    told = error.headers.get("x-should-retry")
    if told in ("true", "false"):
        return told == "true"
    if not repeatable:
        return error.status in _NOTHING_BEGAN
    conflict_passes = error.status == 409 and error.retry_after is not None
    return error.status in _PASSING or error.status >= 500 or conflict_passes


def _in_flight(error: PenstockError) -> bool:
    return isinstance(error, StatusError) and error.status == 409 and error.code == "idempotency_in_flight"
