"""What API Gateway answers by itself is what the edge would: its envelope, its statuses, its headers."""

import json

import pytest

from functions.edge.security_headers import ALWAYS, OVER_HTTPS
from penstock import errors
from tests.unit.infra.conftest import Compiled
from tests.unit.infra.template import Properties

ERRORS: dict[str, type[errors.ApiError]] = {
    "DEFAULT_4XX": errors.BadRequest,
    "DEFAULT_5XX": errors.Internal,
    "MISSING_AUTHENTICATION_TOKEN": errors.NotFound,
    "WAF_FILTERED": errors.Forbidden,
    "REQUEST_TOO_LARGE": errors.BodyTooLarge,
    "THROTTLED": errors.RateLimited,
    "INTEGRATION_FAILURE": errors.Unavailable,
    "INTEGRATION_TIMEOUT": errors.DeadlineExceeded,
}
# Theirs is the status that API Gateway would give, whichever of the kind it is.
ANY_STATUS = {"DEFAULT_4XX", "DEFAULT_5XX"}
# Within quotes of API Gateway's it cannot be said.
UNSAID = "Content-Security-Policy"


@pytest.fixture
def responses(compiled: Compiled) -> dict[str, Properties]:
    """By their types."""
    return {one["ResponseType"]: one for one in compiled("development").of("ApiGateway::GatewayResponse").values()}


def test_there_is_one_for_each(responses: dict[str, Properties]) -> None:
    assert responses.keys() == ERRORS.keys()


@pytest.mark.parametrize("kind", ERRORS)
def test_it_is_the_edges_error(responses: dict[str, Properties], kind: str) -> None:
    response, error = responses[kind], ERRORS[kind]
    template = response["ResponseTemplates"]["application/json"]
    body = json.loads(template.replace("$context.error.messageString", '"what is wrong"'))
    assert body.keys() == {"error"}
    assert body["error"].keys() == errors.ApiError("").envelope()["error"].keys()
    assert (body["error"]["type"], body["error"]["code"], body["error"]["param"]) == (error.type, error.code, None)
    assert body["error"]["message"]
    assert response.get("StatusCode") == (None if kind in ANY_STATUS else str(error.status))


@pytest.mark.parametrize("kind", ERRORS)
def test_its_headers_are_the_edges(responses: dict[str, Properties], kind: str) -> None:
    said = {
        name.removeprefix("gatewayresponse.header."): value.strip("'")
        for name, value in responses[kind]["ResponseParameters"].items()
    }
    assert said.items() >= {**ALWAYS, **OVER_HTTPS}.items() - {(UNSAID, ALWAYS[UNSAID])}
    assert not any("'" in value for value in said.values())


def test_whoever_may_come_again_is_told_when(responses: dict[str, Properties]) -> None:
    waits = {
        kind for kind, one in responses.items() if "gatewayresponse.header.Retry-After" in one["ResponseParameters"]
    }
    assert waits == {"THROTTLED", "INTEGRATION_FAILURE"}
