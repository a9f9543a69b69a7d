"""The relay of answers that do not stream, over real connections."""

import pytest

from tests.integration.edge.deployment import CHAT, Deployment
from tests.integration.edge.stand_in import ANSWER, USED

pytestmark = pytest.mark.anyio


async def test_an_answer_comes_through_and_is_settled_once(deployment: Deployment) -> None:
    response = await deployment.chat()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["penstock-delivery"] == "relay"
    assert response.json()["choices"][0]["message"]["content"] == ANSWER
    record = await deployment.ledger.record(response.headers["x-request-id"])
    assert record is not None
    assert (record.usage, record.provisional) == (USED, False)


async def test_the_gpu_gets_the_body_as_it_was_sent_and_no_key(deployment: Deployment) -> None:
    await deployment.chat()
    call = deployment.gpu.calls[0]
    assert call.path == "/v1/chat/completions"
    assert {name for name in call.headers if "auth" in name or "key" in name} == set()
    assert deployment.owner.key.reveal().encode() not in call.body
    assert call.ticket.lease.model == CHAT["model"]
