"""Request ids and trace context on their way through the edge: to the GPU process, into the log, and back."""

import pytest

from penstock.errors import BadRequest
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.stand_in import Call

pytestmark = pytest.mark.anyio

TRACE = {
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE",
    "X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1",
}


@pytest.mark.parametrize("stream", [False, True])
async def test_the_gpu_gets_our_id_and_the_callers_trace(deployment: Deployment, stream: bool) -> None:
    response = await deployment.chat(headers={**TRACE, "X-Request-Id": "mine-1"}, stream=stream)
    (call,) = deployment.gpu.calls
    assert call.headers.getlist("x-request-id") == [response.headers["x-request-id"]] == [call.ticket.lease.id]
    assert {name: call.headers[name] for name in TRACE} == TRACE
    assert response.headers["x-client-request-id"] == "mine-1"
    assert "x-client-request-id" not in call.headers


async def test_a_malformed_trace_goes_no_further(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    await deployment.chat(headers={"traceparent": "mine", "tracestate": "rojo=1", "X-Amzn-Trace-Id": "mine"})
    (call,) = deployment.gpu.calls
    assert not [name for name in TRACE if name in call.headers]
    assert "trace_id" not in (await logged.wait(1))[0]


async def test_the_trace_is_in_the_log_of_good_and_bad(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()

    async def refuse(call: Call) -> None:
        await call.refuse(BadRequest("no"))

    await deployment.chat(headers=TRACE)
    deployment.gpu.behave = refuse
    await deployment.chat(headers=TRACE)
    await deployment.client.get("/nowhere", headers=TRACE)
    lines = await logged.wait(3)
    assert {line["trace_id"] for line in lines} == {"0af7651916cd43dd8448eb211c80319c"}
