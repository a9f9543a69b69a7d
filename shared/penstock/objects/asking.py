"""A request to S3, tried until it is answered, a bounded number of times.

What S3 says it says to s3fs, which raises it as an OSError of its own choice with S3's answer as the cause; the answer
is what is looked at here. s3fs's own retries and botocore's are off: ours know what may help.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from botocore.exceptions import BotoCoreError, ClientError
from s3fs.core import S3_RETRYABLE_ERRORS

from penstock.objects.protocol import Missing, ObjectsUnavailable

T = TypeVar("T")

# Between the tries, on the average: many who failed together do not come back together.
# https://aws.amazon.com/builders-library/timeouts-retries-and-backoff-with-jitter/
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0)
# S3's own, where the status does not say it ("Error responses", Amazon S3 API reference).
_TRANSIENT = frozenset({"ConditionalRequestConflict", "OperationAborted", "RequestTimeout", "SlowDown"})
_ABSENT = frozenset({"404", "NoSuchKey"})


class Refused(Exception):
    """S3 refuses the request, and no repetition changes that. The code is S3's, or HTTP's where it has none."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Unfinished(Exception):
    """S3 has done a part of what was asked."""


_FAILURES = (OSError, BotoCoreError, Unfinished, *S3_RETRYABLE_ERRORS)


async def tried(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer. Raises Refused, ObjectsUnavailable where it was tried often enough."""
    for pause in PAUSES_S:
        try:
            return await ask()
        except _FAILURES as error:
            _raise_what_stays(error)
        await asyncio.sleep(random.uniform(0.5, 1.5) * pause)
    try:
        return await ask()
    except _FAILURES as error:
        _raise_what_stays(error)
        raise ObjectsUnavailable(f"S3: {error}") from error


def _raise_what_stays(error: Exception) -> None:
    """Raise what no repetition changes."""
    answer = error.__cause__
    if isinstance(answer, ClientError):
        code = answer.response["Error"].get("Code", "")
        status = answer.response["ResponseMetadata"].get("HTTPStatusCode", 500)
        if code not in _TRANSIENT and status < 500 and status != 429:
            raise Refused(code, str(error)) from error
    elif not isinstance(error, (OSError, Unfinished, *S3_RETRYABLE_ERRORS)):
        raise ObjectsUnavailable(f"S3: {error}") from error  # no credentials, for one


def unavailable(refused: Refused) -> ObjectsUnavailable:
    """What a refusal is where no other was to be expected."""
    return ObjectsUnavailable(f"S3: {refused.code}: {refused}")


def missing(key: str, refused: Refused) -> Exception:
    """What a refusal to read is."""
    return Missing(f"there is no object {key!r}") if refused.code in _ABSENT else unavailable(refused)
