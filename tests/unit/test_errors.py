"""The errors' envelope, as OpenAI's clients read it."""

from collections.abc import Iterator

import httpx2
import openai
import orjson
import pytest

from penstock.errors import (
    ApiError,
    BadRequest,
    Conflict,
    RateLimited,
    Unauthenticated,
    Unavailable,
    UnsupportedParameter,
)


def below(kind: type[ApiError]) -> Iterator[type[ApiError]]:
    for child in kind.__subclasses__():
        yield child
        yield from below(child)


KINDS = [kind for kind in below(ApiError) if kind.__module__ == "penstock.errors"]
every_kind = pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)


@every_kind
def test_every_error_has_a_status_and_the_envelope(kind: type[ApiError]) -> None:
    error = kind("What is wrong.")
    assert 400 <= error.status <= 599
    assert error.envelope() == {
        "error": {"message": "What is wrong.", "type": error.type, "param": None, "code": error.code}
    }
    assert str(error) == "What is wrong."
    assert (kind.__doc__ or "").startswith(f"{error.status}: ")


@every_kind
def test_openais_client_raises_its_own_error_of_the_same_status(kind: type[ApiError]) -> None:
    error = kind("What is wrong.")
    body = orjson.dumps(error.envelope())
    transport = httpx2.MockTransport(lambda _: httpx2.Response(error.status, content=body, headers=error.headers))
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="x", base_url="http://edge/v1", max_retries=0, http_client=http) as client,
        pytest.raises(openai.APIStatusError, match="What is wrong") as caught,
    ):
        client.models.list()
    assert (caught.value.status_code, caught.value.code, caught.value.type) == (error.status, error.code, error.type)


def test_an_error_names_the_parameter() -> None:
    error = UnsupportedParameter("No tools.", param="tools")
    assert error.envelope()["error"] == {
        "message": "No tools.",
        "type": "invalid_request_error",
        "param": "tools",
        "code": "unsupported_parameter",
    }


def test_a_code_of_the_occasion_replaces_the_kinds_own() -> None:
    assert BadRequest("No.", code="context_length_exceeded").code == "context_length_exceeded"
    assert BadRequest("No.").code is None
    assert Unauthenticated("No.", code="key_revoked").code == "key_revoked"


def test_headers_say_what_a_client_should_do_next() -> None:
    assert Unauthenticated("No.").headers == {"WWW-Authenticate": "Bearer"}
    assert Conflict("No.").headers == {"x-should-retry": "false"}
    assert Conflict("No.", retry_after=2).headers == {"Retry-After": "2"}
    assert Unavailable("No.", retry_after=7).headers == {"Retry-After": "7"}
    assert RateLimited("No.", headers={"Retry-After": "3"}).headers == {"Retry-After": "3"}


def test_details_stand_beside_openais_own_and_never_instead() -> None:
    error = RateLimited("No.", details={"limit": {"name": "requests_per_minute"}, "message": "Yes."})
    assert error.envelope()["error"] == {
        "message": "No.",
        "type": "rate_limit_error",
        "param": None,
        "code": "rate_limit_exceeded",
        "limit": {"name": "requests_per_minute"},
    }


def test_headers_are_each_errors_own() -> None:
    given = {"Retry-After": "3"}
    error = RateLimited("No.", headers=given)
    error.headers["x"] = "y"
    assert given == {"Retry-After": "3"}
    assert RateLimited("No.").headers == {}
