"""How long a call tries, and how it pauses between tries.

DynamoDB asks its clients to come again after a throttle, a conflict of transactions or an error of its own.
We do, until the call's deadline, with "full jitter": a random part of a doubling span, so that many who
failed together do not come back together.
https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/

Every write is safe to repeat: it is conditional on not having happened, or carries a token.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    HTTPClientError,
    ReadTimeoutError,
)
from botocore.exceptions import ConnectionError as NoConnection

from penstock.ledger.records import LedgerUnavailable

P = ParamSpec("P")
T = TypeVar("T")

PATIENCE = 10.0  # seconds, all tries of one call of the ledger together
FIRST_SPAN, LAST_SPAN = 0.025, 1.0  # seconds

_TRANSIENT = frozenset({
    "InternalServerError",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ServiceUnavailable",
    "ThrottlingException",
    "TransactionConflictException",
    "TransactionInProgressException",
})  # fmt: skip
# Why a transaction was cancelled, of one of its items.
_TRANSIENT_REASONS = frozenset({"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"})
REFUSED = "ConditionalCheckFailed"


def transient(error: Exception) -> bool:
    """Whether trying again may help."""
    if isinstance(error, ClientError):
        code = error.response["Error"]["Code"]
        if code == "TransactionCanceledException":
            reasons = {reason.get("Code") for reason in error.response.get("CancellationReasons", ())}
            return REFUSED not in reasons and bool(reasons & _TRANSIENT_REASONS)
        return code in _TRANSIENT or error.response["ResponseMetadata"].get("HTTPStatusCode", 0) >= 500
    return isinstance(error, (NoConnection, ConnectionClosedError, ReadTimeoutError, HTTPClientError, OSError))


def bounded(method: Callable[P, Awaitable[T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """The method, over after PATIENCE, however many requests to the table it makes. For those that callers wait for."""

    @wraps(method)
    async def within(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            async with asyncio.timeout(PATIENCE):
                return await method(*args, **kwargs)
        except TimeoutError as error:
            raise LedgerUnavailable(f"the table did not answer for {PATIENCE:g} seconds") from error

    return within


class Patience:
    """The tries of one call."""

    def __init__(self, seconds: float = PATIENCE) -> None:
        self._clock = asyncio.get_running_loop().time
        self._until = self._clock() + seconds
        self._span = FIRST_SPAN

    @property
    def left(self) -> float:
        """Seconds until the deadline; 0 after it."""
        return max(self._until - self._clock(), 0.0)

    async def pause(self) -> bool:
        """Wait before another try. False where the deadline leaves no time for one."""
        pause = random.uniform(0.0, self._span)
        self._span = min(2 * self._span, LAST_SPAN)
        if pause >= self.left:
            return False
        await asyncio.sleep(pause)
        return True
