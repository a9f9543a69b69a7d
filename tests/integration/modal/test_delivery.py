"""A deployment for direct delivery: no proxy auth, the ticket alone, and a redirect only where a container is warm."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr

from functions.edge.app import create_app
from penstock.client import AsyncPenstock
from penstock.deployment import class_name
from penstock.settings import EdgeSettings
from tests.integration.edge.serving import serving
from tests.integration.gpu.stand import TICKET_KEYS
from tests.integration.modal.cloud import APP, KEY, LEDGER, PATIENCE_S, Cloud, booked, findings

pytestmark = pytest.mark.anyio

OPEN = "penstock-open"
ASKED: dict[str, Any] = {"model": "demo", "messages": [{"role": "user", "content": "What is a ticket?"}]}


@pytest.fixture(scope="module")
def gate(cloud: Cloud) -> Iterator[str]:
    """The URL of a Gate that everybody reaches, of an app beside the other; its weights are the same."""
    table = cloud.table.with_name("open.toml")
    text = cloud.table.read_text().replace(f'app = "{APP}"', f'app = "{OPEN}"\ndelivery = "direct"')
    table.write_text(text.partition("[models.unpulled]")[0])
    cloud.plane.modal("deploy", "-m", "functions.gpu.modal_app", variables={"PENSTOCK_CONFIG": str(table)})
    yield cloud.plane.server_url(OPEN, class_name("Gate", "demo"))
    cloud.plane.modal("app", "stop", "--yes", OPEN)


@asynccontextmanager
async def edge(cloud: Cloud, gate: str) -> AsyncIterator[str]:
    """The edge that may redirect there."""
    urls = json.dumps({"demo": gate})
    settings = EdgeSettings(
        ledger_url=LEDGER,
        ticket_keys=SecretStr(TICKET_KEYS),
        config=cloud.table.with_name("open.toml"),
        gpu_url=urls,
        gpu_public_url=urls,
        startup_budget_s=int(PATIENCE_S),
    )
    async with serving(create_app(settings), "on") as url:
        yield url


async def test_a_cold_pool_is_relayed_to_and_a_warm_one_redirected_to(cloud: Cloud, gate: str) -> None:
    bearer = {"Authorization": f"Bearer {KEY.reveal()}", "Penstock-Delivery": "direct"}
    async with edge(cloud, gate) as url, httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        cold = await http.post(f"{url}/v1/chat/completions", json={**ASKED, "max_tokens": 4}, headers=bearer)
        warm = await http.post(f"{url}/v1/chat/completions", json={**ASKED, "max_tokens": 4}, headers=bearer)
        assert (cold.status_code, cold.headers["Penstock-Delivery"]) == (200, "relay")
        assert (warm.status_code, warm.headers["Penstock-Delivery"]) == (307, "direct")
        assert warm.headers["Location"].startswith(f"{gate}/v1/chat/completions?ticket=")
        async with AsyncPenstock(f"{url}/v1", KEY.reveal(), delivery="direct") as penstock:
            stream = await penstock.chat.completions.create(
                **ASKED, max_tokens=12, stream=True, stream_options={"include_usage": True}
            )
            chunks = [chunk async for chunk in stream]
    record = await booked("req_" + chunks[0].id.removeprefix("chatcmpl-"))
    assert chunks[-1].usage is not None
    assert record.usage.completion_tokens == chunks[-1].usage.completion_tokens
    assert await findings() == ()


async def test_without_a_ticket_nobody_is_served(cloud: Cloud, gate: str) -> None:
    async with httpx2.AsyncClient(trust_env=False, timeout=PATIENCE_S) as http:
        refused = await http.post(f"{gate}/v1/chat/completions", json=ASKED)
        forged = await http.post(f"{gate}/v1/chat/completions?ticket=test.abc.def", json=ASKED)
    assert [answer.json()["error"]["code"] for answer in (refused, forged)] == ["invalid_ticket"] * 2
