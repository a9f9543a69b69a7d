"""What answers in place of a model that cannot be loaded: one clear refusal, whatever is asked.

A container which just ended would be taken for one that is still starting, and its callers would wait for
their whole start-up budget. What is wrong with the model stands in the log, for the operator; callers are told
that it is for good, until somebody mends it.
"""

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.gpu.journal import Journal
from penstock.errors import Unavailable

RETRY_AFTER_S = 60


def refusal_to_load(model: str) -> Unavailable:
    """The error of a model that cannot be loaded. Asking again at once is no use."""
    message = f"The model {model!r} cannot be loaded. Whoever operates it finds the reason in its log."
    error = Unavailable(message, retry_after=RETRY_AFTER_S, code="model_unreadable")
    error.headers["x-should-retry"] = "false"
    return error


def unloadable(model: str) -> ASGIApp:
    """An app that refuses every request, of health and readiness too. It has a lifespan, and nothing to do in it.

    The journal writes its requests down, and marks its answers as ours: the edge passes them on as they are.
    """
    error = refusal_to_load(model)
    body = orjson.dumps(error.envelope())
    told = {
        "content-type": "application/json",
        "content-length": str(len(body)),
        **{name.lower(): value for name, value in error.headers.items()},
    }
    headers = [(name.encode(), value.encode()) for name, value in told.items()]

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
        elif scope["type"] == "http":
            await send({"type": "http.response.start", "status": error.status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    return Journal(app)
