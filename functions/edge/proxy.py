"""What a proxy answers in the GPU process's place: what passes by itself, and what the caller is told of the rest.

Modal's, before a Server, answers at once and queues nothing: 503 while no container runs, 429 while each has
all the requests that it takes, 401 to a wrong `Modal-Key` or `Modal-Secret`. None of these has taken the
request up. Cold and full pass: they are waited for as long as the start-up budget lasts. The proxy's own
failures are tried again a few times, in case they do.
"""

import asyncio
from collections.abc import Iterator
from random import uniform

from penstock.errors import ApiError, Unavailable, UpstreamFailed

FIRST_PAUSE = 0.25  # seconds; doubles up to LAST_PAUSE
LAST_PAUSE = 2.0  # seconds
ASK_AGAIN_IN = 15  # seconds, for the caller once the budget is spent
FAILURES = 3  # of the proxy itself, after which a request is given up
COLD, FULL = 503, 429
NOT_LET_IN = (401, 403)
_FAILED = (500, 502, 504)


class Patience:
    """How long one request is asked again: the budget runs from its making."""

    def __init__(self, budget_s: float) -> None:
        self._clock = asyncio.get_running_loop().time
        self._give_up = self._clock() + budget_s
        self._pauses = pauses()
        self._failures = 0

    async def pause(self, status: int) -> None:
        """Wait until it is time to ask again, after an answer with this status. Raises ApiError where it is not."""
        pause = next(self._pauses)
        if not self._passes(status) or self._clock() + pause > self._give_up:
            raise _told(status)
        await asyncio.sleep(pause)

    def _passes(self, status: int) -> bool:
        if status in _FAILED:
            self._failures += 1
            return self._failures < FAILURES
        return status in (COLD, FULL)


def pauses() -> Iterator[float]:
    """The seconds between one try and the next. Those who were refused together do not come again together."""
    longest = FIRST_PAUSE
    while True:
        yield uniform(longest / 2, longest)
        longest = min(2 * longest, LAST_PAUSE)


def _told(status: int) -> ApiError:
    if status == COLD:
        return Unavailable("The model is still starting.", retry_after=ASK_AGAIN_IN, code="model_starting")
    if status == FULL:
        message = "The model has as many requests as it may have."
        return Unavailable(message, retry_after=ASK_AGAIN_IN, code="queue_full")
    if status in NOT_LET_IN:
        return UpstreamFailed("The way to the GPU process is closed to us.", code="gpu_credentials_refused")
    return UpstreamFailed(f"The GPU process's proxy answered with status {status}.")
