"""The three routes that reach the GPU: each goes its own way there, and all of them under the same policies."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import openai
import orjson
import pytest

from penstock.clock import now_ms
from penstock.errors import ApiError, RateLimited, Unavailable
from penstock.ledger import Limits
from penstock.models import TEXT_TOKENS
from penstock.ticket import TicketKeys
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import PROMPT, REQUESTS, TICKET_KEYS, Deployment
from tests.integration.edge.stand_in import ANSWER, EMBEDDED, USED, VECTOR, WORDS

pytestmark = pytest.mark.anyio

LIMITS = Limits(requests_per_minute=100, concurrent_requests=10, monthly_budget=10**9)
STREAMS = ["/v1/chat/completions", "/v1/completions"]
of_each_route = pytest.mark.parametrize("path", REQUESTS)


@of_each_route
async def test_a_request_reaches_the_gpu_at_its_own_path_and_as_it_was_sent(deploy: Deploy, path: str) -> None:
    deployment = await deploy(account_limits=LIMITS)
    response = await deployment.ask(path)
    assert (response.status_code, response.headers["penstock-delivery"]) == (200, "relay")
    (call,) = deployment.gpu.calls
    assert (call.path, call.body) == (path, response.request.content)
    (record,) = await deployment.ledger.records(account_id=deployment.owner.caller.account.id)
    assert record.usage == (EMBEDDED if path == "/v1/embeddings" else USED)


@pytest.mark.parametrize("path", STREAMS)
async def test_a_stream_comes_through_as_it_is(deployment: Deployment, path: str) -> None:
    response = await deployment.ask(path, stream=True)
    assert response.headers["content-type"].startswith("text/event-stream")
    events = [orjson.loads(line[6:]) for line in response.text.split("\n\n") if line.startswith("data: {")]
    assert len(events) == len(WORDS) + 1
    assert response.text.endswith("data: [DONE]\n\n")


async def test_embeddings_do_not_stream(deployment: Deployment) -> None:
    response = await deployment.ask("/v1/embeddings", stream=True)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "stream")


@of_each_route
async def test_each_is_redirected_to_its_own_path(deploy: Deploy, path: str) -> None:
    deployment = await deploy(gpu_public_url="{gpu}")
    response = await deployment.ask(path, {"Penstock-Delivery": "direct"})
    assert response.status_code == 307
    location = urlsplit(response.headers["location"])
    assert location.path == path
    (text,) = parse_qs(location.query)["ticket"]
    assert TicketKeys.parse(TICKET_KEYS).verify(text, now=now_ms()).lease.id == response.headers["x-request-id"]


@of_each_route
async def test_the_same_request_twice_is_answered_once(deploy: Deploy, path: str) -> None:
    deployment = await deploy(account_limits=LIMITS)
    first, again = [await deployment.ask(path, {"Idempotency-Key": "k"}) for _ in range(2)]
    assert (again.status_code, again.content) == (200, first.content)
    assert again.headers["idempotent-replayed"] == "true"
    assert deployment.gpu.requests == 1
    other = await deployment.ask(next(one for one in REQUESTS if one != path), {"Idempotency-Key": "k"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


# A request, whole and as a stream where there is one.
ALIKE: dict[str, list[dict[str, Any]]] = {
    path: [{}, {"stream": True}] if path in STREAMS else [{}] for path in REQUESTS
}
FULL = [
    Unavailable("As many requests are waiting for the model as may.", retry_after=7, code="queue_full"),
    RateLimited("Most of them are this account's.", code="queue_full", headers={"Retry-After": "3"}),
]


@of_each_route
@pytest.mark.parametrize("refusal", FULL, ids=lambda refusal: refusal.status)
async def test_a_full_queue_says_when_to_come_again_and_costs_nothing(
    deploy: Deploy, path: str, refusal: ApiError
) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = lambda call: call.refuse(refusal)
    for changes in ALIKE[path]:
        response = await deployment.ask(path, **changes)
        assert (response.status_code, response.json()) == (refusal.status, refusal.envelope())
        assert response.headers["retry-after"] == refusal.headers["Retry-After"]
        assert "x-ratelimit-remaining-requests" in response.headers
    standings = await deployment.standings()
    assert {standing.reserved for standing in standings.values()} == {0}
    assert len(deployment.gpu.calls) == deployment.gpu.requests  # and none was asked again


@pytest.mark.parametrize(
    ("path", "changes", "tokens", "nano"),
    [
        ("/v1/chat/completions", {"n": 3}, len(PROMPT) + 20 + 3 * 16, (len(PROMPT) + 20) * 100 + 3 * 16 * 400),
        (
            "/v1/completions",
            {"n": 2},
            len(PROMPT) + 4 + 2 * TEXT_TOKENS + 4 * 16,
            (len(PROMPT) + 4 + 2 * TEXT_TOKENS) * 100 + 4 * 16 * 400,
        ),
        ("/v1/completions", {"prompt": [1, 2, 3]}, 3 + 16, 3 * 100 + 16 * 400),
        ("/v1/completions", {"prompt": [[1], [2, 3]], "max_tokens": None}, 3 + 2 * 16, 3 * 100 + 2 * 16 * 400),
        ("/v1/embeddings", {}, len(PROMPT) + TEXT_TOKENS, (len(PROMPT) + TEXT_TOKENS) * 100),
        ("/v1/embeddings", {"input": [[1, 2], [3]]}, 3, 300),
    ],
)
async def test_what_is_reserved(
    deployment: Deployment, path: str, changes: dict[str, Any], tokens: int, nano: int
) -> None:
    assert (await deployment.ask(path, **changes)).status_code == 200
    bound = deployment.gpu.calls[0].ticket.lease.bound
    assert (bound.tokens, bound.nano) == (tokens, nano)


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/chat/completions", "vectors"),
        ("/v1/completions", "vectors"),
        ("/v1/completions", "acme/large"),
        ("/v1/embeddings", "acme/large"),
    ],
)
async def test_a_model_that_is_not_served_there(deploy: Deploy, path: str, model: str) -> None:
    deployment = await deploy(account_limits=LIMITS)
    response = await deployment.ask(path, model=model)
    assert response.status_code == 404
    assert response.json()["error"] == {
        "message": f"The model {model!r} is not served at {path}.",
        "type": "invalid_request_error",
        "param": "model",
        "code": "model_not_supported",
    }
    assert deployment.gpu.requests == 0
    assert (await deployment.standings())["requests_per_minute"].spent == 0  # type: ignore[index]


async def test_a_size_that_the_model_does_not_give(deployment: Deployment) -> None:
    assert (await deployment.ask("/v1/embeddings", dimensions=2)).status_code == 200
    for model in ("demo", "vectors"):
        error = (await deployment.ask("/v1/embeddings", model=model, dimensions=3)).json()["error"]
        assert (error["param"], error["code"]) == ("dimensions", "invalid_value")


async def test_the_official_client_completes_and_embeds(deployment: Deployment) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=0
    ) as client:
        completion = await client.completions.create(model="demo", prompt="Once", extra_body={"top_k": 5})
        assert completion.choices[0].text == ANSWER
        stream = await client.completions.create(model="demo", prompt=[1, 2], stream=True)
        assert tuple([chunk.choices[0].text async for chunk in stream][:-1]) == WORDS
        # It asks for base64, and decodes it.
        embedded = await client.embeddings.create(model="demo", input="Once")
        assert embedded.data[0].embedding == VECTOR
        plain = await client.embeddings.create(model="demo", input=["Once"], encoding_format="float")
        assert plain.data[0].embedding == VECTOR
        assert plain.usage.total_tokens == EMBEDDED.total_tokens
