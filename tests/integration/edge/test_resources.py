"""Models, usage, health and documentation, over real connections and by the official client."""

from datetime import UTC, datetime

import openai
import pytest

from penstock.clock import day_of, now_ms
from penstock.ledger import Limits
from penstock.schemas import UsageReport
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.stand_in import ANSWER, USED, WORDS

pytestmark = pytest.mark.anyio


async def test_the_official_client_lists_and_retrieves(deployment: Deployment) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=0
    ) as client:
        models = [model async for model in client.models.list()]
        assert [model.id for model in models] == ["demo", "acme/large", "unpriced", "vectors"]
        large = await client.models.retrieve("acme/large")
        assert (large.id, large.owned_by) == ("acme/large", "acme")
        assert datetime.fromtimestamp(large.created, UTC).date().isoformat() == "2026-01-03"
        assert (await client.models.retrieve("small")).id == "demo"
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve("nope")


async def test_the_official_client_chats_and_streams(deployment: Deployment) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=0
    ) as client:
        completion = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Hello!"}], max_tokens=16
        )
        assert completion.choices[0].message.content == ANSWER
        stream = await client.chat.completions.create(
            model="demo", messages=[{"role": "user", "content": "Hello!"}], max_tokens=16, stream=True
        )
        chunks = [chunk async for chunk in stream]
        assert tuple(chunk.choices[0].delta.content for chunk in chunks[:-1]) == WORDS


async def test_usage_adds_up(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=Limits(monthly_budget=10**9), key_limits=Limits(tokens_per_minute=50_000))
    for stream in (False, True):
        await deployment.chat(stream=stream)
    response = await deployment.get("/v1/usage")
    report = UsageReport.model_validate_json(response.content)
    cost = 2 * (USED.prompt_tokens * 100 + USED.completion_tokens * 400)
    assert (report.total_cost_nano_usd, report.total_cost_usd) == (cost, "0.0000066")
    (row,) = report.data
    assert (row.model, row.requests, row.day) == ("demo", 2, day_of(now_ms()))
    assert (row.prompt_tokens, row.completion_tokens) == (2 * USED.prompt_tokens, 2 * USED.completion_tokens)
    budget = report.limits["monthly_budget"]
    assert (budget.spent, budget.reserved, budget.remaining) == (cost, 0, 10**9 - cost)
    assert report.limits.keys() == {"monthly_budget", "tokens_per_minute"}
    assert (report.account, report.key) == (deployment.owner.caller.account.id, deployment.owner.key.id)


async def test_usage_of_other_days_is_none(deployment: Deployment) -> None:
    await deployment.chat()
    report = (await deployment.get("/v1/usage?since=2020-01-01&until=2020-12-31")).json()
    assert (report["data"], report["total_cost_usd"]) == ([], "0")


@pytest.mark.parametrize(
    "day",
    [
        "",
        "yesterday",
        "2026-02-30",
        "2026-1-1",
        "20260101",
        "\u0662\u0660\u0662\u0666-\u0660\u0661-\u0660\u0661",
        "2026-01-01T00",
    ],
)
@pytest.mark.parametrize("name", ["since", "until"])
async def test_a_day_that_is_none_is_refused_by_name(deployment: Deployment, name: str, day: str) -> None:
    response = await deployment.client.get("/v1/usage", params={name: day}, headers=deployment.owner.bearer)
    assert (response.status_code, response.json()["error"]["param"]) == (400, name)


async def test_the_documentation_loads_nothing_from_elsewhere(deployment: Deployment) -> None:
    response = await deployment.client.get("/docs")
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in response.headers["content-security-policy"]
    assert "src=" not in response.text
    assert "//" not in response.text.replace("application/json", "")
    for path in ("/v1/chat/completions", "/v1/usage", "/health/ready"):
        assert path in response.text


async def test_ready_once_the_ledger_is_there(deployment: Deployment) -> None:
    assert (await deployment.client.get("/health/ready")).json() == {"status": "ready"}
