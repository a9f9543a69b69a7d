"""The edge's app: FastAPI over a list of routes, each behind the first of the policies.

    authenticate -> validate -> recall -> admit -> dispatch          (functions.edge.policies.POLICIES)

A route that is not in ROUTES does not exist; one whose policies are not in order does not start.
"""

from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from functions.edge.boundary import Boundary, error_response
from functions.edge.cors import cross_origin
from functions.edge.edge import Edge
from functions.edge.exchange import Exchange, Route
from functions.edge.openapi import describe
from functions.edge.policies import check, follow
from functions.edge.routes import admin, batches, docs, files, health, inference, models, usage
from functions.edge.routes.admin.resource import api_error
from penstock import __version__
from penstock.administration import AdministrationError
from penstock.errors import ApiError, Unavailable, routing_error
from penstock.ledger import LedgerUnavailable
from penstock.logs import configure_logs
from penstock.objects import ObjectsUnavailable
from penstock.refusals import ledger_unavailable
from penstock.settings import EdgeSettings, read_settings

ROUTES: tuple[Route, ...] = (
    *inference.ROUTES,
    *files.ROUTES,
    *batches.ROUTES,
    models.LIST,
    models.RETRIEVE,
    usage.USAGE,
    *admin.ROUTES,
    health.HEALTH,
    health.READY,
    docs.DOCS,
    docs.OPENAPI,
)


def create_app(settings: EdgeSettings | None = None) -> FastAPI:
    """The app, with its settings from the environment. Raises ConfigError."""
    settings = settings or read_settings(EdgeSettings)
    configure_logs("edge", settings.log_level)
    edge = Edge(settings)
    app = FastAPI(
        title="Penstock",
        version=__version__,
        lifespan=partial(_lifespan, edge),
        openapi_url=None,
        redirect_slashes=False,
        # FastAPI's own telemetry would send on paths, queries and the text of exceptions, which may hold anything.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
        exception_handlers={
            ApiError: _refuse,
            HTTPException: _refuse_http,
            LedgerUnavailable: _refuse_ledger,
            ObjectsUnavailable: _refuse_objects,
            AdministrationError: _refuse_administration,
        },
    )
    app.state.edge, app.state.routes = edge, ROUTES
    for route in ROUTES:
        check(route)
        app.add_api_route(route.path, _endpoint(edge, route), methods=[route.method], **describe(route))
    app.add_middleware(Boundary, layer=cross_origin(settings.origins()))
    return app


@asynccontextmanager
async def _lifespan(edge: Edge, _: FastAPI) -> AsyncIterator[None]:
    yield
    await edge.close()


def _endpoint(edge: Edge, route: Route) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    async def endpoint(request: Request) -> Response:
        passage = request.scope["penstock"]
        exchange = Exchange(edge, request, route, **passage)
        return await follow(route, exchange)

    return endpoint


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)  # noqa: S101 (by registration)
    request.scope["penstock"]["facts"].update(error=error.code, error_type=error.type)
    return error_response(error)


async def _refuse_http(request: Request, error: Exception) -> Response:
    """Starlette's own refusals, of the router, in the envelope."""
    assert isinstance(error, HTTPException)  # noqa: S101
    return await _refuse(request, routing_error(error.status_code, request.method, _allowed(request)))


def _allowed(request: Request) -> str:
    """The methods of all routes that have this path: each route of the router knows only its own."""
    matching = (route for route in request.app.router.routes if route.matches(request.scope)[0] is not Match.NONE)
    return ", ".join(sorted(method for route in matching for method in route.methods))


async def _refuse_ledger(request: Request, _: Exception) -> Response:
    return await _refuse(request, ledger_unavailable())


async def _refuse_objects(request: Request, _: Exception) -> Response:
    return await _refuse(request, Unavailable("The files' storage cannot be reached.", code="objects_unavailable"))


async def _refuse_administration(request: Request, error: Exception) -> Response:
    assert isinstance(error, AdministrationError)  # noqa: S101 (by registration)
    return await _refuse(request, api_error(error))
