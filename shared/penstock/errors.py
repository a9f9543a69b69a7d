"""The errors a caller of the API can see, each with its HTTP status and OpenAI's envelope.

The envelope is `{"error": {"message", "type", "param", "code"}}`, as OpenAI's API reference gives it and
its clients parse it; some errors add a part of their own beside those four. The edge and the GPU process
raise these; whoever serves HTTP turns them into responses, or, once a stream has begun, into an SSE error
event. Messages never hold a key or a prompt.
"""

from collections.abc import Mapping
from typing import Any


class ApiError(Exception):
    """An error with a status and an envelope.

    `headers` go on the response (`Retry-After` and its kin); `details` into the envelope, beside OpenAI's own.
    """

    status = 500
    type = "server_error"
    code: str | None = None

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        code: str | None = None,
        headers: Mapping[str, str] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.code = code if code is not None else type(self).code
        self.headers = dict(headers or {})
        self.details = dict(details or {})

    def envelope(self) -> dict[str, Any]:
        """The JSON body: OpenAI's error envelope."""
        openais = {"message": self.message, "type": self.type, "param": self.param, "code": self.code}
        return {"error": {**openais, **self.details, **openais}}


class BadRequest(ApiError):
    """400: the request itself is wrong; `param` names the part."""

    status = 400
    type = "invalid_request_error"


class UnsupportedParameter(BadRequest):
    """400: a parameter (or a value of it) that Penstock does not honour, and so does not accept."""

    code = "unsupported_parameter"


class Unauthenticated(ApiError):
    """401: no key, or one that opens nothing."""

    status = 401
    type = "authentication_error"
    code = "invalid_api_key"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"WWW-Authenticate": "Bearer"})


class BudgetExceeded(ApiError):
    """402: what is left of the month, in dollars or tokens, does not cover the request."""

    status = 402
    type = "insufficient_quota"
    code = "budget_exceeded"


class Forbidden(ApiError):
    """403: a good key which may not do this."""

    status = 403
    type = "permission_error"
    code = "permission_denied"


class NotFound(ApiError):
    """404: no such model or route."""

    status = 404
    type = "invalid_request_error"
    code = "not_found"


class MethodNotAllowed(ApiError):
    """405: the route exists, but not for this method."""

    status = 405
    type = "invalid_request_error"
    code = "method_not_allowed"


class Conflict(ApiError):
    """409: the request was already taken up: a ticket is good for one generation, a key for one request."""

    status = 409
    type = "invalid_request_error"
    code = "conflict"

    def __init__(self, message: str, *, code: str | None = None, retry_after: int | None = None) -> None:
        # Without a time after which it passes, a client that retried would only meet the same conflict.
        passing = {"x-should-retry": "false"} if retry_after is None else {"Retry-After": str(retry_after)}
        super().__init__(message, code=code, headers=passing)


class BodyTooLarge(ApiError):
    """413: the body is over the limit."""

    status = 413
    type = "invalid_request_error"
    code = "request_too_large"


class AnswerTooLarge(ApiError):
    """413: the answer is over what can be sent. It was made and is paid for; a retry would do it again."""

    status = 413
    type = "invalid_request_error"
    code = "answer_too_large"


class Unprocessable(ApiError):
    """422: well formed, but at odds with what was sent before."""

    status = 422
    type = "invalid_request_error"
    code = "unprocessable"


class RateLimited(ApiError):
    """429: over a limit per minute, or of concurrent requests."""

    status = 429
    type = "rate_limit_error"
    code = "rate_limit_exceeded"


class Internal(ApiError):
    """500: our fault. The message says nothing of the inside."""

    code = "internal_error"


class UpstreamFailed(ApiError):
    """502: the GPU process answered with something that is not an answer, or broke off."""

    status = 502
    code = "upstream_error"


class Unavailable(ApiError):
    """503: nobody can take the request now; `Retry-After` says when to try again."""

    status = 503
    code = "service_unavailable"

    def __init__(self, message: str, *, retry_after: int = 5, code: str | None = None) -> None:
        super().__init__(message, code=code, headers={"Retry-After": str(retry_after)})


class DeadlineExceeded(ApiError):
    """504: the answer takes longer than the edge may. What it had cost until then stands; a retry would pay again."""

    status = 504
    code = "deadline_exceeded"

    def __init__(self, message: str) -> None:
        super().__init__(message, headers={"x-should-retry": "false"})


def routing_error(status: int, method: str, allowed: str) -> ApiError:
    """What a router refuses before any route has its turn: its 404, its 405, or a malformed request."""
    if status == 404:
        return NotFound("There is no such route.")
    if status == 405:
        return MethodNotAllowed(f"This route takes {allowed}, not {method}.", headers={"Allow": allowed})
    return BadRequest("The request is malformed.")
