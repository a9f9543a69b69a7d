"""Who may call the admin routes, and what every one of them refuses alike."""

import re
from typing import Any

import pytest

from functions.edge.app import ROUTES
from functions.edge.routes import admin as admin_routes
from penstock.administration import ROUTES as GROUPS
from penstock.ledger import ADMIN
from tests.integration.edge.administrator import Administrator, admin, appointed
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment, enrol

__all__ = ["admin"]

pytestmark = pytest.mark.anyio

EVERY = [(route.method, re.sub(r"\{.*?\}", "nobody", route.path)) for route in admin_routes.ROUTES]
WITH_BODY = [(route.method, route.path) for route in admin_routes.ROUTES if "requestBody" in route.openapi]


def test_the_groups_of_routes_are_those_that_a_scope_may_name() -> None:
    assert {route.group for route in ROUTES if route.policies} == set(GROUPS)
    assert all(route.group == ADMIN for route in admin_routes.ROUTES)
    assert all((route.group == ADMIN) == route.path.startswith("/admin/") for route in ROUTES)


@pytest.mark.parametrize(("method", "path"), EVERY)
@pytest.mark.parametrize("routes", [None, frozenset({"chat", "models", "usage"})])
async def test_a_key_whose_scope_does_not_name_them_is_a_403(
    deployment: Deployment, method: str, path: str, routes: frozenset[str] | None
) -> None:
    owner = await enrol(deployment.ledger, routes=routes)
    response = await deployment.client.request(method, path, headers=owner.bearer, json={})
    assert response.status_code == 403
    assert response.json()["error"]["code"] == "route_not_allowed"


async def test_an_admin_key_opens_nothing_else_unless_it_says_so(admin: Administrator) -> None:
    client = admin.deployment.client
    for path in ("/v1/models", "/v1/usage"):
        assert (await client.get(path, headers=admin.owner.bearer)).status_code == 403
    assert await admin.status_of(admin.owner.key.reveal()) == 403


@pytest.mark.parametrize(("method", "path"), WITH_BODY)
@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"[]", "invalid_type"),
        (b'{"surprise": 1}', "unknown_parameter"),
        (b'{"surprise": "' + b"x" * 70_000 + b'"}', "request_too_large"),
        (b"[" * 60_000, "invalid_json"),
    ],
)
async def test_a_body_that_is_none_is_refused(
    admin: Administrator, method: str, path: str, body: bytes, code: str
) -> None:
    sent: dict[str, Any] = {"content": body, "headers": {"Content-Type": "application/json"}}
    status = 413 if code == "request_too_large" else 400
    error = await admin.refused(status, method, path.removeprefix("/admin/v1").format(id="nobody"), **sent)
    # What is missing may be named first.
    assert error["code"] in (code, "missing_required_parameter")


async def test_another_type_of_body_is_refused(admin: Administrator) -> None:
    error = await admin.refused(400, "POST", "/accounts", content=b"id=a", headers={"Content-Type": "text/plain"})
    assert error["code"] == "invalid_content_type"


@pytest.mark.parametrize("path", ["/accounts", "/keys", "/usage"])
async def test_a_query_is_read_strictly(admin: Administrator, path: str) -> None:
    error = await admin.refused(400, "GET", f"{path}?acount=a")
    assert (error["param"], error["code"]) == ("acount", "unknown_parameter")
    name = "since" if path == "/usage" else "limit"
    assert (await admin.refused(400, "GET", f"{path}?{name}=1&{name}=2"))["param"] == name


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/accounts", "GET, POST"), ("/keys/x", "GET, PATCH"), ("/switch", "GET, PUT"), ("/keys/x/revoke", "POST")],
)
async def test_another_method_is_a_405_that_names_all_that_there_are(
    admin: Administrator, path: str, allowed: str
) -> None:
    response = await admin.call("DELETE", path)
    assert (response.status_code, response.headers["allow"]) == (405, allowed)


async def test_the_log_names_what_was_changed_and_by_whom(logged: Logged, deploy: Deploy) -> None:
    admin = await appointed(await deploy())
    made = await admin.done("POST", "/accounts", json={"id": "lab"})
    (line,) = await logged.wait(1)
    assert (line["subject"], line["key"], line["route"]) == (made["id"], admin.owner.key.id, "/admin/v1/accounts")
    key = await admin.done("POST", "/keys", json={"account": "lab"})
    assert (await logged.wait(2))[1]["subject"] == key["id"]
    assert key["key"] not in logged.text
