"""A bounded fuzz of the whole API from its own description: no 5xx, and every answer is as described."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anyio
import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from functions.edge.app import ROUTES
from functions.edge.exchange import Route
from functions.edge.policies import POLICIES
from penstock.administration import ROUTES as GROUPS
from penstock.batches import open_book
from penstock.batches.records import File, Purpose, new_file_id
from penstock.clock import now_ms
from penstock.ledger import ADMIN, open_ledger
from penstock.objects import open_objects
from tests.integration.edge.deployment import Deployment, Owner, deployed, enrol

EXAMPLES = 60  # of each route, as good as the description asks and as bad as it forbids
OF_ADMIN = 20  # of those that fewer can reach


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment in a thread of its own: schemathesis knows no event loop."""
    folder = tmp_path_factory.mktemp("fuzz")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(deployed(folder)) as deployment:
        portal.call(_sign_urls, deployment)
        yield deployment


async def _sign_urls(deployment: Deployment) -> None:
    """Have the storage sign URLs to put files at, as a folder does not; nobody puts any there."""

    async def signed(key: str, *, size: int, expires_s: int) -> str:
        return f"http://storage/{key}?{size}&{expires_s}"

    setattr(await deployment.edge.storage.objects(), "signed_put", signed)  # noqa: B010 (mypy: it is a method)


@pytest.fixture(scope="module")
def everybody(served: Deployment) -> Owner:
    """A key that may call every route."""

    async def enrolled() -> Owner:
        ledger = await open_ledger(served.edge.settings.ledger_url)
        owner = await enrol(ledger, routes=frozenset(GROUPS))
        await ledger.close()
        return owner

    return anyio.run(enrolled)


@pytest.fixture(scope="module")
def file_id(served: Deployment, everybody: Owner) -> str:
    """The id of a file of theirs."""
    now, url = now_ms(), served.edge.settings.ledger_url
    file = File(new_file_id(now), everybody.caller.account.id, Purpose.BATCH, "in.jsonl", 3, "files/a/x", now)

    async def filed() -> None:
        book, objects = await open_book(url), await open_objects(served.edge.settings.objects_url or "")
        await book.add_file(file)
        await objects.put(file.address, b"{}\n")
        await book.close()
        await objects.close()

    anyio.run(filed)
    return file.id


@pytest.fixture(scope="module")
def described(served: Deployment) -> BaseSchema:
    """The API's own description, as it is served."""
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    schema.validate()
    return schema


def test_every_route_is_described(described: BaseSchema) -> None:
    paths = described.raw_schema["paths"]
    operations = {(method.upper(), path) for path, methods in paths.items() for method in methods}
    assert operations == {(route.method, route.path.replace(":path", "")) for route in ROUTES}


def _agree(route: Route, case: schemathesis.Case[Any], file_id: str) -> None:
    """Keep to the rules that no schema can express."""
    if "Idempotency-Key" in case.headers:
        case.headers["Idempotency-Key"] = uuid4().hex  # that no other request had
    if route.group in ("files", "batches"):
        _file(route, case, file_id)
    elif route.policies == POLICIES:
        _ask_for_an_answer(case.body)
    elif route.path.endswith("/usage"):
        _ask_for_a_month(case.query)
    elif route.group == ADMIN:
        _administer(case.query, case.body)


def _ask_for_a_month(query: Any) -> None:
    if "since" in query:
        query["until"] = query["since"]


def _administer(query: Any, body: Any) -> None:
    """Of what is there; and leave everybody switched on."""
    query.pop("after", None)
    if isinstance(body, dict):
        if body.get("models"):
            body["models"] = ["demo"]
        if "on" in body:
            body["on"] = True
        if "monthly_budget_nano_usd" in body.get("limits", {}):
            body["limits"].pop("monthly_budget_usd", None)


def _file(route: Route, case: schemathesis.Case[Any], file_id: str) -> None:
    """Ask for the file that is there, and make batches of it."""
    if route.method == "GET" and route.path.startswith("/v1/files/{id}"):
        case.path_parameters["id"] = file_id
    if route.group == "batches" and isinstance(case.body, dict):
        case.body["input_file_id"] = file_id
    if route.path == "/v1/files" and isinstance(case.body, dict) and "bytes" in case.body:
        case.body["bytes"] = 1_000


def _ask_for_an_answer(body: Any) -> None:
    """For a served model, with room for a prompt, and parameters that agree."""
    body["model"] = "demo"
    for name in ("max_completion_tokens", "min_tokens", "best_of", "top_logprobs", "dimensions"):
        body.pop(name, None)
    if body.get("max_tokens") is not None:
        body["max_tokens"] = 16 + body["max_tokens"] % 500
    if not body.get("stream"):
        body.pop("stream_options", None)
    _of_one_form(body)


def _of_one_form(body: Any) -> None:
    """Ask for one form of the answer, whole."""
    if body.get("structured_outputs") is not None:
        body["structured_outputs"] = {"regex": "[a-z]+"}
        body.pop("response_format", None)
    if body.get("response_format"):
        named = {"name": "form", "schema": {}} if body["response_format"]["type"] == "json_schema" else None
        body["response_format"]["json_schema"] = named
    if isinstance(body.get("prompt"), list) and body.get("n"):
        body["n"] = 1 + body["n"] % 2


# A route that takes nothing cannot be asked wrongly.
CASES = [(route, mode) for route in ROUTES for mode in GenerationMode if route.policies or mode.is_positive]


@pytest.mark.parametrize(("route", "mode"), CASES, ids=lambda value: getattr(value, "path", value))
def test_every_answer_is_as_described(
    described: BaseSchema, everybody: Owner, file_id: str, route: Route, mode: GenerationMode
) -> None:
    operation = described[route.path.replace(":path", "")][route.method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=OF_ADMIN if route.group == ADMIN else EXAMPLES,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def check(case: schemathesis.Case[Any]) -> None:
        if mode.is_positive:
            _agree(route, case, file_id)
        response = case.call_and_validate(headers=everybody.bearer, timeout=30)
        assert response.status_code < 500

    check()
