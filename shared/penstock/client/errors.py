"""What the client raises: nobody answered, the answer was no answer, or the API refused.

A refusal has the class of its status; the names are those of `penstock.errors`, which the servers raise. One
that comes within a stream, whose status was 200, has the class of its `type`.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.client.answers import Batch

_LONGEST_MESSAGE = 4_096  # characters


class PenstockError(Exception):
    """Everything that the client raises, but for TypeError where a method is called wrongly."""


class Misconfigured(PenstockError):
    """The client cannot be made: its URL or its key is missing, or is none."""


class NotAvailable(PenstockError):
    """This way to the API does not have what was called."""


class ConnectionFailed(PenstockError):
    """The API was not reached, or the connection broke. `sent`: whether the request may have reached it."""

    def __init__(self, message: str, sent: bool = True) -> None:
        super().__init__(message, sent)
        self.message = message
        self.sent = sent

    def __str__(self) -> str:
        return self.message


class TimedOut(ConnectionFailed):
    """The API was not reached in time, or said nothing for too long."""


class StillRunning(PenstockError):
    """The batch was waited for long enough, and has not ended. It goes on; `batch` is how far it has come."""

    def __init__(self, batch: "Batch", waited: float) -> None:
        super().__init__(batch, waited)
        self.batch = batch
        self.waited = waited

    def __str__(self) -> str:
        counts = self.batch.request_counts
        done = f"{counts.completed + counts.failed} of {counts.total} lines done"
        return f"the batch {self.batch.id} is {self.batch.status} after {self.waited:g} s ({done}); it goes on"


class UnexpectedAnswer(PenstockError):
    """What answered does not speak as Penstock's API does."""


class StatusError(PenstockError):
    """The API refused, in OpenAI's envelope where there was one.

    `limit` has the numbers of the limit that a 402 or 429 is about (docs/compatibility.md). `status` is None where
    the error came within a stream.
    """

    def __init__(self, status: int | None, error: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        self.headers = {name.lower(): value for name, value in headers.items()}
        # All that it is made of: that is how an exception is pickled.
        super().__init__(status, error, self.headers)
        self.status = status
        self.message = _text(error, "message") or _unsaid(status)
        self.type = _text(error, "type")
        self.param = _text(error, "param")
        self.code = _text(error, "code")
        limit = error.get("limit")
        self.limit: Mapping[str, Any] | None = limit if isinstance(limit, dict) else None
        self.request_id = self.headers.get("x-request-id")

    def __str__(self) -> str:
        return self.message

    @property
    def retry_after(self) -> float | None:
        """After how many seconds the API asks to be asked again. A date, which it never sends, is passed over."""
        with suppress(KeyError, ValueError):
            if (seconds := float(self.headers["retry-after"])) >= 0:
                return seconds
        return None


class BadRequest(StatusError):
    """400: the request is wrong; `param` names the part."""


class Unauthenticated(StatusError):
    """401: no key, or one that opens nothing."""


class BudgetExceeded(StatusError):
    """402: what is left of the month, in dollars or tokens, does not cover the request; see `limit`."""


class Forbidden(StatusError):
    """403: a good key which may not do this."""


class NotFound(StatusError):
    """404: no such model or route."""


class Conflict(StatusError):
    """409: the request with this `Idempotency-Key` is still running, or its answer was not kept."""


class BodyTooLarge(StatusError):
    """413: the request is larger than the API takes, or its answer than the API can send; `code` says which."""


class Unprocessable(StatusError):
    """422: the `Idempotency-Key` was used with another request."""


class RateLimited(StatusError):
    """429: over a limit per minute, or of concurrent requests (see `limit`); or the model's queue is full."""


class ServerError(StatusError):
    """5xx: it went wrong on the other side."""


class Unavailable(ServerError):
    """503: nobody can take the request now; `retry_after` says when to try again."""


class DeadlineExceeded(ServerError):
    """504: the answer would have taken longer than the API may; what it had cost until then stands."""


_BY_STATUS: Mapping[int, type[StatusError]] = {
    400: BadRequest,
    401: Unauthenticated,
    402: BudgetExceeded,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    413: BodyTooLarge,
    422: Unprocessable,
    429: RateLimited,
    503: Unavailable,
    504: DeadlineExceeded,
}
_BY_TYPE: Mapping[str | None, type[StatusError]] = {
    "invalid_request_error": BadRequest,
    "authentication_error": Unauthenticated,
    "insufficient_quota": BudgetExceeded,
    "permission_error": Forbidden,
    "rate_limit_error": RateLimited,
    "server_error": ServerError,
}


def status_error(status: int, envelope: object, headers: Mapping[str, str]) -> StatusError:
    """The error of an answer with this status; `envelope` is its body's JSON, whatever that is."""
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else StatusError)
    return kind(status, _error_of(envelope), headers)


def stream_error(envelope: object, headers: Mapping[str, str]) -> StatusError:
    """The error of an event within a stream; `headers` are the stream's."""
    error = _error_of(envelope)
    return _BY_TYPE.get(_text(error, "type"), StatusError)(None, error, headers)


def _error_of(envelope: object) -> Mapping[str, Any]:
    error = envelope.get("error") if isinstance(envelope, dict) else None
    return error if isinstance(error, dict) else {}


def _unsaid(status: int | None) -> str:
    where = "an error event" if status is None else f"HTTP {status}"
    return f"{where} without OpenAI's error envelope"


def _text(error: Mapping[str, Any], name: str) -> str | None:
    value = error.get(name)
    return value[:_LONGEST_MESSAGE] if isinstance(value, str) else None
