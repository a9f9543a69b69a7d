"""Which errors are worth another try, and for how long."""

import asyncio
import random
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    HTTPClientError,
    NoCredentialsError,
    ReadTimeoutError,
)

from penstock.ledger.dynamodb import patience
from penstock.ledger.dynamodb.patience import FIRST_SPAN, LAST_SPAN, Patience, transient
from tests.servers.faults import Fault

pytestmark = pytest.mark.anyio

URL = {"endpoint_url": "http://127.0.0.1:1"}


def said(code: str, status: int = 400, *reasons: str) -> Exception:
    """An error that DynamoDB answers."""
    response: dict[str, Any] = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    if reasons:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    error: Exception = ClientError(response, "UpdateItem")
    return error


@pytest.mark.parametrize(
    "error",
    [
        *(said(code) for code in Fault if not code.closes and code is not Fault.ANSWER_SPOILT),
        said("RequestLimitExceeded"),
        said("TransactionInProgressException"),
        said("TransactionCanceledException", 400, "None", "TransactionConflict"),
        said("TransactionCanceledException", 400, "ThrottlingError", "None"),
        said("TransactionCanceledException", 400, "ProvisionedThroughputExceeded", "TransactionConflict"),
        said("ServiceUnavailable", 503),
        said("Unheard", 502),
        EndpointConnectionError(**URL),
        ConnectTimeoutError(**URL),
        ConnectionClosedError(**URL),
        ReadTimeoutError(**URL),
        HTTPClientError(error=OSError()),
        ConnectionResetError(),
    ],
)
def test_what_passes_by_itself_is_tried_again(error: Exception) -> None:
    assert transient(error)


@pytest.mark.parametrize(
    "error",
    [
        said("ConditionalCheckFailedException"),
        said("ValidationException"),
        said("ResourceNotFoundException"),
        said("AccessDeniedException"),
        said("UnrecognizedClientException"),
        said("ItemCollectionSizeLimitExceededException"),
        said("TransactionCanceledException", 400, "ConditionalCheckFailed", "None"),
        said("TransactionCanceledException", 400, "ConditionalCheckFailed", "TransactionConflict"),
        said("TransactionCanceledException", 400, "ValidationError", "None"),
        said("TransactionCanceledException"),
        NoCredentialsError(),
    ],
)
def test_what_stays_as_it_is_is_not_tried_again(error: Exception) -> None:
    assert not transient(error)


async def test_pauses_are_a_random_part_of_a_span_that_doubles_to_its_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    spans, slept = [], []

    def uniform(low: float, high: float) -> float:
        assert low == 0
        spans.append(high)
        return high / 2

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    monkeypatch.setattr(random, "uniform", uniform)
    monkeypatch.setattr(asyncio, "sleep", sleep)
    tries = Patience(3_600)
    for _ in range(10):
        assert await tries.pause()
    assert spans[:4] == [FIRST_SPAN, 2 * FIRST_SPAN, 4 * FIRST_SPAN, 8 * FIRST_SPAN]
    assert spans[-1] == LAST_SPAN
    assert max(spans) == LAST_SPAN
    assert slept == [span / 2 for span in spans]


async def test_there_is_no_pause_that_ends_after_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random, "uniform", lambda _, high: high)
    monkeypatch.setattr(patience, "FIRST_SPAN", 10.0)
    assert not await Patience(9.0).pause()


async def test_after_the_deadline_nothing_is_left() -> None:
    tries = Patience(0.0)
    assert tries.left == 0.0
    assert not await tries.pause()
    assert 0 < Patience(5.0).left <= 5.0
