"""A bounded fuzz of the whole API from its own description: no 5xx, and every answer is as described."""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.schemas import BaseSchema

from functions.edge.app import ROUTES
from functions.edge.exchange import Route
from functions.edge.policies import POLICIES
from tests.integration.edge.deployment import Deployment, deployed

EXAMPLES = 60  # of each route, as good as the description asks and as bad as it forbids


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment in a thread of its own: schemathesis knows no event loop."""
    folder = tmp_path_factory.mktemp("fuzz")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(deployed(folder)) as deployment:
        yield deployment


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


def _agree(body: Any) -> None:
    """Keep to the rules that no schema can express: a served model, room for a prompt, parameters that agree."""
    body["model"] = "demo"
    body.pop("max_tokens", None)
    if body.get("max_completion_tokens") is not None:
        body["max_completion_tokens"] = 16 + body["max_completion_tokens"] % 500
    if not body.get("stream"):
        body.pop("stream_options", None)


# A route that takes nothing cannot be asked wrongly.
CASES = [(route, mode) for route in ROUTES for mode in GenerationMode if route.policies or mode.is_positive]


@pytest.mark.parametrize(("route", "mode"), CASES, ids=lambda value: getattr(value, "path", value))
def test_every_answer_is_as_described(
    served: Deployment, described: BaseSchema, route: Route, mode: GenerationMode
) -> None:
    operation = described[route.path.replace(":path", "")][route.method]

    @given(case=operation.as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        database=None,
    )
    def check(case: schemathesis.Case[Any]) -> None:
        if mode.is_positive and route.policies == POLICIES:
            _agree(case.body)
        response = case.call_and_validate(headers=served.owner.bearer, timeout=30)
        assert response.status_code < 500

    check()
