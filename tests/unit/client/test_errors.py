"""Every refusal that the servers raise has its class here."""

import pickle

import pytest

from penstock import client, errors
from penstock.client import Batch
from penstock.client.errors import ConnectionFailed, StatusError, StillRunning, TimedOut, status_error, stream_error
from tests.unit.client.wire import a_batch

CLASSES = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, errors.ApiError)]
ELSEWHERE = {
    "AnswerTooLarge": "BodyTooLarge",
    "ApiError": "ServerError",
    "Internal": "ServerError",
    "UpstreamFailed": "ServerError",
    "UnsupportedParameter": "BadRequest",
    "MethodNotAllowed": "StatusError",
}


@pytest.mark.parametrize("kind", CLASSES)
def test_a_refusal_of_the_servers_is_raised_under_its_name(kind: type[errors.ApiError]) -> None:
    error = kind("No.")
    raised = status_error(error.status, error.envelope(), error.headers)
    assert type(raised).__name__ == ELSEWHERE.get(kind.__name__, kind.__name__)
    assert (raised.status, raised.message, str(raised)) == (error.status, "No.", "No.")
    assert (raised.type, raised.code, raised.param) == (error.type, error.code, None)


@pytest.mark.parametrize("kind", CLASSES)
def test_within_a_stream_it_is_that_class_or_one_above(kind: type[errors.ApiError]) -> None:
    error = kind("No.")
    raised = stream_error(error.envelope(), {"x-request-id": "req_1"})
    alone = status_error(error.status, error.envelope(), {})
    assert isinstance(alone, type(raised)) or error.type == "invalid_request_error"
    assert (raised.status, raised.code, raised.request_id) == (None, error.code, "req_1")


def test_an_error_event_without_an_envelope() -> None:
    error = stream_error({"error": "x"}, {})
    assert (type(error), str(error)) == (StatusError, "an error event without OpenAI's error envelope")


def test_the_numbers_of_a_limit_and_the_time() -> None:
    told = errors.RateLimited("Over.", headers={"Retry-After": "7"}, details={"limit": {"remaining": 3}})
    raised = status_error(told.status, told.envelope(), told.headers)
    assert raised.limit == {"remaining": 3}
    assert raised.retry_after == 7
    assert status_error(429, None, {}).limit is None


def test_a_message_is_not_endless() -> None:
    assert len(str(status_error(400, {"error": {"message": "x" * 100_000}}, {}))) == 4_096


@pytest.mark.parametrize(
    "error",
    [
        status_error(429, {"error": {"message": "m", "limit": {"remaining": 1}}}, {"X-Request-Id": "r"}),
        ConnectionFailed("x", sent=False),
        TimedOut("y"),
        StillRunning(Batch.model_validate(a_batch()), 60.0),
    ],
)
def test_errors_travel_between_processes(error: Exception) -> None:
    copy = pickle.loads(pickle.dumps(error))  # noqa: S301
    assert type(copy) is type(error)
    assert (str(copy), vars(copy)) == (str(error), vars(error))


def test_all_of_them_can_be_imported_from_the_package() -> None:
    from penstock.client import errors as raised

    kinds = {kind for kind in vars(raised).values() if isinstance(kind, type) and issubclass(kind, Exception)}
    assert {kind.__name__ for kind in kinds} <= set(client.__all__)
    assert all(getattr(client, kind.__name__) is kind for kind in kinds)
    assert sorted(client.__all__) == client.__all__
