"""Every route of the edge, FastAPI's own among them: none is reachable without a policy or a stated reason."""

import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match, Mount

from functions.edge.app import ROUTES, create_app
from functions.edge.policies import POLICIES
from penstock.administration import ROUTES as GROUPS
from tests.integration.edge.deployment import settings_of

pytestmark = pytest.mark.anyio

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT")
PUBLIC = {("GET", "/health"), ("GET", "/health/ready"), ("GET", "/docs"), ("GET", "/openapi.json")}


@pytest.fixture
def app(tmp_path: Path) -> FastAPI:
    """The app; its GPU process does not exist, and its ledger is made on first use."""
    return create_app(settings_of(tmp_path, "http://127.0.0.1:1"))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx2.AsyncClient]:
    """A stranger: without a key."""
    transport = httpx2.ASGITransport(app)
    stranger = httpx2.AsyncClient(transport=transport, base_url="http://edge")
    async with stranger, app.router.lifespan_context(app):
        yield stranger


def every_route(routes: list[BaseRoute]) -> Iterator[BaseRoute]:
    """All routes, those of mounted apps among them."""
    for route in routes:
        yield route
        if isinstance(route, Mount):
            yield from every_route(route.routes)


def test_the_apps_routes_are_the_list_and_nothing_else(app: FastAPI) -> None:
    """FastAPI adds documentation, redirects and HEAD by itself; none of them may be there."""
    served = set()
    for route in every_route(app.routes):
        assert isinstance(route, APIRoute), route
        served |= {(method, route.path) for method in route.methods or ()}
    assert served == {(route.method, route.path) for route in ROUTES}
    assert len(ROUTES) == len(served)


def test_each_route_has_policies_or_a_reason() -> None:
    public = {(route.method, route.path) for route in ROUTES if not route.policies}
    assert public == PUBLIC
    for route in ROUTES:
        assert bool(route.policies) != bool(route.public), route.path
        assert route.policies == POLICIES[: len(route.policies)], route.path
        assert (route.group in GROUPS) == bool(route.policies), route.path
        assert route.summary, route.path


def test_what_generates_has_every_policy() -> None:
    reaching = {route.path: route for route in ROUTES if route.policies == POLICIES}
    assert reaching.keys() == {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}
    assert all(route.intake is not None for route in reaching.values())


def test_each_group_is_of_some_route_and_each_route_that_reaches_a_gpu_has_its_own() -> None:
    assert {route.group for route in ROUTES if route.policies} == set(GROUPS)
    groups = [route.group for route in ROUTES if route.policies == POLICIES]
    assert len(set(groups)) == len(groups)


def example(path: str) -> str:
    """A path that the route matches."""
    return re.sub(r"\{.*?\}", "demo", path)


@pytest.mark.parametrize("route", [route for route in ROUTES if route.policies], ids=lambda route: route.path)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer sk-something"},
        {"x-api-key": "ps_x"},
        {"Host": "localhost"},
        {"X-Forwarded-For": "127.0.0.1", "X-Original-URL": "/health", "X-Rewrite-URL": "/health"},
    ],
)
async def test_each_guarded_route_is_a_401_without_a_key(
    client: httpx2.AsyncClient, tmp_path: Path, route: Any, headers: dict[str, str]
) -> None:
    response = await client.request(route.method, example(route.path), headers=headers, content=b"{}")
    assert response.status_code == 401
    assert response.json()["error"]["type"] == "authentication_error"
    assert response.headers["www-authenticate"] == "Bearer"
    assert not (tmp_path / "ledger.db").exists()


@pytest.mark.parametrize("path", sorted(path for _, path in PUBLIC))
async def test_each_public_route_answers(client: httpx2.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 200


def test_guarded_routes_match_nothing_that_a_public_one_matches(app: FastAPI) -> None:
    for method, path in PUBLIC:
        scope = {"type": "http", "method": method, "path": path, "headers": []}
        assert sum(route.matches(scope)[0] is Match.FULL for route in app.routes) == 1


UNKNOWN = [
    "/",
    "/v1",
    "/v1/",
    "/v1/embeddings/",
    "/v1/completions/",
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "//v1/chat/completions",
    "/V1/chat/completions",
    "/v1/chat/completions%2f",
    "/v1/usage/",
    "/health/",
    "/health/ready/",
    "/docs/",
    "/docs/oauth2-redirect",
    "/redoc",
    "/openapi.json/",
    "/openapi.yaml",
    "/.well-known/x",
    "/%00",
]


@pytest.mark.parametrize("path", UNKNOWN)
async def test_an_unknown_path_is_a_404_in_the_envelope(client: httpx2.AsyncClient, path: str) -> None:
    for method in ("GET", "POST", "OPTIONS"):
        request = client.build_request(method, "http://edge")
        request.url = request.url.copy_with(raw_path=path.encode())
        response = await client.send(request)
        assert response.status_code == 404, method
        error = response.json()["error"]
        assert (error["type"], error["code"]) == ("invalid_request_error", "not_found")


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
async def test_another_method_is_a_405_that_says_which(client: httpx2.AsyncClient, route: Any) -> None:
    served = {other.method for other in ROUTES if other.path == route.path}
    for method in set(METHODS) - served:
        response = await client.request(method, example(route.path))
        assert response.status_code == 405
        assert response.headers["allow"] == ", ".join(sorted(served))
        assert response.headers["content-type"] == "application/json"
        assert method == "HEAD" or response.json()["error"]["code"] == "method_not_allowed"


async def test_a_model_without_a_name_needs_a_key_too(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/v1/models/")).status_code == 401


async def test_no_websocket_is_accepted(app: FastAPI) -> None:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    async def send(message: Any) -> None:
        sent.append(message)

    for path in ("/v1/chat/completions", "/", "/health"):
        await app(
            {"type": "websocket", "path": path, "headers": [], "query_string": b"", "subprotocols": []}, receive, send
        )
    assert {message["type"] for message in sent} == {"websocket.close"}
