"""The GPU process as an ASGI app: ticket in, SSE out. `uvicorn --factory functions.gpu.server:create_app`.

    Lifespan            loads the model and opens the ledger; exits with 3 and one line where it cannot
      Journal           request ids, `Penstock-Gpu: 1`, one log line a request
        Starlette       three routes that take a ticket, and three that tell how the process is

Run it with `--no-access-log`, since a ticket may come in the query, and with `--timeout-graceful-shutdown`,
so that a stop does not wait for the longest stream.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from functions.gpu import chat, completions, embeddings
from functions.gpu.endpoint import Endpoint
from functions.gpu.engine import Engine
from functions.gpu.health import Health
from functions.gpu.journal import Journal
from functions.gpu.lifespan import Lifespan
from functions.gpu.metrics import Metrics
from functions.gpu.process import Process
from penstock.errors import ApiError, routing_error
from penstock.ledger import Ledger
from penstock.settings import GpuSettings


def create_app(
    *, settings: GpuSettings | None = None, engine: Engine | None = None, ledger: Ledger | None = None
) -> ASGIApp:
    """The app. What is not given comes from the environment, once it starts."""
    return app_of(Process(settings, engine, ledger))


def app_of(process: Process) -> ASGIApp:
    """The app of a process, which its lifespan starts and stops."""
    health = Health(process)
    routes = [
        Route("/v1/chat/completions", Endpoint(process, chat.read_chat, chat.PARAM), methods=["POST"]),
        Route("/v1/completions", Endpoint(process, completions.read_completion, completions.PARAM), methods=["POST"]),
        Route("/v1/embeddings", Endpoint(process, embeddings.read_embedding, embeddings.PARAM), methods=["POST"]),
        Route("/health", health.alive, methods=["GET"]),
        Route("/health/ready", health.ready, methods=["GET"]),
        Route("/metrics", Metrics(process).scrape, methods=["GET"]),
    ]
    app = Starlette(routes=routes, exception_handlers={ApiError: _refuse, HTTPException: _refuse_http})
    app.router.redirect_slashes = False  # a redirect would repeat the query, and a ticket in it
    return Lifespan(Journal(app), process)


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (by registration)
    request.scope["penstock"].failed(error)
    return JSONResponse(error.envelope(), error.status, error.headers)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, of the router, in the envelope."""
    assert isinstance(error, HTTPException)  # noqa: S101
    allowed = (error.headers or {}).get("Allow", "")
    return await _refuse(request, routing_error(error.status_code, request.method, allowed))
