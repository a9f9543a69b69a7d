"""The line that a GPU process writes of a request: by which ids it is found again."""

from typing import Any

import pytest
import structlog
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from functions.gpu import journal
from functions.gpu.journal import Journal
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def written(*headers: tuple[str, str], admitted: bool = False) -> tuple[dict[str, Any], str]:
    """The line of one request with these headers, and the id on its answer."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if admitted:
            scope["penstock"].admitted(LEASE)
        await PlainTextResponse("fine")(scope, receive, send)

    answered: list[Any] = []

    async def send(message: Any) -> None:
        answered.append(message)

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    raw = [(name.lower().encode(), value.encode()) for name, value in headers]
    logger = structlog.testing.CapturingLogger()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journal, "log", logger)
        await Journal(app)({"type": "http", "method": "POST", "path": "/", "headers": raw}, receive, send)
    (line,) = logger.calls
    return line.kwargs, dict(answered[0]["headers"])[b"x-request-id"].decode()


async def test_a_request_with_a_ticket_is_the_leases_at_both_ends() -> None:
    line, answered = await written(("X-Request-Id", LEASE.id), ("traceparent", PARENT), admitted=True)
    assert (line["request_id"], answered) == (LEASE.id, LEASE.id)
    assert line["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert "client_request_id" not in line


async def test_one_without_a_good_ticket_is_found_by_what_the_edge_calls_it() -> None:
    line, answered = await written(("X-Request-Id", "req_0123456789abcdef"))
    assert line["client_request_id"] == "req_0123456789abcdef"
    assert line["request_id"] == answered != "req_0123456789abcdef"


async def test_what_is_malformed_is_not_written_down() -> None:
    line, _ = await written(("X-Request-Id", "a secret of mine"), ("traceparent", "a secret of mine"))
    assert "secret" not in repr(line)
    assert not {"client_request_id", "trace_id"} & line.keys()
