"""A bounded fuzz of the whole API from its own description: no 5xx, and every answer is as described."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import schemathesis
from anyio.from_thread import start_blocking_portal
from hypothesis import HealthCheck, Phase, settings
from schemathesis.config import ChecksConfig, GenerationConfig
from schemathesis.schemas import BaseSchema

from tests.integration.edge.deployment import Deployment, deployed

EXAMPLES = 60  # of each operation


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """A deployment in a thread of its own: schemathesis knows no event loop."""
    folder: Path = tmp_path_factory.mktemp("fuzz")
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(deployed(folder)) as deployment:
        yield deployment


@pytest.fixture(scope="module")
def description(served: Deployment) -> BaseSchema:
    """The API's own description, as it is served."""
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


api = schemathesis.pytest.from_fixture("description")


@api.parametrize()
@settings(
    max_examples=EXAMPLES,
    phases=(Phase.explicit, Phase.generate),
    suppress_health_check=list(HealthCheck),
    database=None,
)
def test_every_answer_is_as_described(case: schemathesis.Case, served: Deployment) -> None:
    response = case.call_and_validate(headers=served.owner.bearer, timeout=30)
    assert response.status_code < 500
    assert response.headers["x-request-id"][0].startswith("req_")
