"""Admission over HTTP: the five limits of account and key, and what a refusal leaves behind."""

import importlib
import re
from collections.abc import Mapping
from typing import Any

import openai
import pytest

from penstock.clock import now_ms
from penstock.errors import Unavailable
from penstock.ledger import LimitName, Limits
from penstock.prices import NANO
from tests.integration.edge import deployment as deployments
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import PROMPT, Deployment
from tests.integration.edge.stand_in import Call, answer
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

# What `CHAT` reserves of "demo": its bytes, the template's 16 + 4 tokens, and its 16 tokens of answer.
PROMPT_BOUND = len(PROMPT.encode()) + 16 + 4
TOKENS = PROMPT_BOUND + 16
COST = PROMPT_BOUND * 100 + 16 * 400  # nano-dollars

ALL = Limits(requests_per_minute=60, tokens_per_minute=6_000, concurrent_requests=5, monthly_budget=NANO)


@pytest.fixture(autouse=True)
def one_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test happens in one moment, so in one minute and one month."""
    now = now_ms()
    # The package's own name `admit` is the policy, not its module.
    monkeypatch.setattr(importlib.import_module("functions.edge.policies.admit"), "now_ms", lambda: now)
    monkeypatch.setattr(deployments, "now_ms", lambda: now)


async def test_what_is_reserved_is_the_bound_of_the_request(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=ALL)
    seen: dict[LimitName, Any] = {}

    async def look(call: Call) -> None:
        seen.update(await deployment.standings())
        await answer(call)

    deployment.gpu.behave = look
    assert (await deployment.chat()).status_code == 200
    assert {name: standing.reserved for name, standing in seen.items()} == {
        LimitName.REQUESTS_PER_MINUTE: 1,
        LimitName.TOKENS_PER_MINUTE: TOKENS,
        LimitName.CONCURRENT_REQUESTS: 1,
        LimitName.MONTHLY_BUDGET: COST,
    }


async def test_without_a_limit_of_its_own_a_request_reserves_the_whole_context(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=ALL)
    await deployment.chat(max_tokens=None)
    assert deployment.gpu.calls[0].ticket.lease.bound.tokens == 1024


async def test_an_answer_says_what_remains(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=ALL)
    headers = (await deployment.chat()).headers
    assert headers["x-ratelimit-limit-requests"] == "60"
    assert headers["x-ratelimit-remaining-requests"] == "59"
    assert headers["x-ratelimit-limit-tokens"] == "6000"
    assert headers["x-ratelimit-remaining-tokens"] == str(6_000 - TOKENS)
    reset = headers["x-ratelimit-reset-requests"]
    assert re.fullmatch(r"\d{1,3}ms|[1-5]?\ds|1m0s", reset)
    assert headers["x-ratelimit-reset-tokens"] == reset


async def test_of_account_and_key_the_tighter_one_is_told(deploy: Deploy) -> None:
    deployment = await deploy(
        account_limits=Limits(requests_per_minute=5, tokens_per_minute=100_000),
        key_limits=Limits(requests_per_minute=50, tokens_per_minute=6_000),
    )
    headers = (await deployment.chat()).headers
    assert (headers["x-ratelimit-limit-requests"], headers["x-ratelimit-limit-tokens"]) == ("5", "6000")


async def test_a_failure_at_the_gpu_and_another_limits_refusal_say_what_remains_too(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=ALL, key_limits=Limits(concurrent_requests=1))
    refused = []

    async def meanwhile(call: Call) -> None:
        refused.append(await deployment.chat())
        await call.refuse(Unavailable("full"))

    deployment.gpu.behave = meanwhile
    failed = await deployment.chat()
    assert (failed.status_code, refused[0].status_code) == (503, 429)
    assert refused[0].json()["error"]["limit"]["name"] == "concurrent_requests"
    for response in (failed, refused[0]):
        assert response.headers["x-ratelimit-remaining-requests"] == "59"
        assert response.headers["x-ratelimit-limit-tokens"] == "6000"


async def test_the_official_client_reads_the_numbers_of_a_refusal(deploy: Deploy) -> None:
    deployment = await deploy(key_limits=Limits(monthly_budget=COST - 1))
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=2
    ) as client:
        with pytest.raises(openai.APIStatusError) as refused:
            await client.chat.completions.create(
                model="demo", messages=[{"role": "user", "content": PROMPT}], max_tokens=16
            )
    error: Any = refused.value.body
    assert (refused.value.status_code, refused.value.code, refused.value.type) == (
        402,
        "budget_exceeded",
        "insufficient_quota",
    )
    assert error["limit"] == {
        "name": "monthly_budget",
        "scope": "key",
        "limit": COST - 1,
        "reserved": 0,
        "spent": 0,
        "requested": COST,
        "remaining": COST - 1,
        "limit_usd": "0.000012399",
        "reserved_usd": "0",
        "spent_usd": "0",
        "requested_usd": "0.0000124",
        "remaining_usd": "0.000012399",
        "retry_after_s": int(refused.value.response.headers["retry-after"]),
    }


async def test_without_limits_there_is_nothing_to_say(deployment: Deployment) -> None:
    assert not [name for name in (await deployment.chat()).headers if name.startswith("x-ratelimit")]


CASES: Mapping[str, tuple[Limits, int, str, str]] = {
    # limits, status, error type, what the message says of them
    "requests_per_minute": (
        Limits(requests_per_minute=1),
        429,
        "rate_limit_error",
        "limit of requests per minute: limit 1, spent 0, reserved 1, this request needs up to 1. Try again in",
    ),
    "tokens_per_minute": (
        Limits(tokens_per_minute=TOKENS + 1),
        429,
        "rate_limit_error",
        (
            f"limit of tokens per minute: limit {TOKENS + 1}, spent 0, reserved {TOKENS}, "
            f"this request needs up to {TOKENS}. Try again in"
        ),
    ),
    "concurrent_requests": (
        Limits(concurrent_requests=1),
        429,
        "rate_limit_error",
        "limit of concurrent requests: limit 1, spent 0, reserved 1, this request needs up to 1. Try again in 1 s.",
    ),
    "monthly_budget": (
        Limits(monthly_budget=COST + 1),
        402,
        "insufficient_quota",
        (
            "limit of monthly budget: limit $0.000012401, spent $0, reserved $0.0000124, "
            "this request needs up to $0.0000124. Try again in"
        ),
    ),
    "monthly_tokens": (
        Limits(monthly_tokens=TOKENS + 1),
        402,
        "insufficient_quota",
        (
            f"limit of monthly tokens: limit {TOKENS + 1}, spent 0, reserved {TOKENS}, "
            f"this request needs up to {TOKENS}. Try again in"
        ),
    ),
}


@pytest.mark.parametrize("scope", ["account", "key"])
@pytest.mark.parametrize("case", CASES)
async def test_over_a_limit(deploy: Deploy, case: str, scope: str) -> None:
    """One request runs; the next is refused, and the refusal changes nothing."""
    limits, status, kind, message = CASES[case]
    assert COST == 12_400
    deployment = await deploy(**{f"{scope}_limits": limits})
    before: dict[str, Any] = {}
    refused = []

    async def meanwhile(call: Call) -> None:
        before.update(standings=await deployment.standings())
        refused.append(await deployment.chat())
        before.update(after=await deployment.standings())
        await answer(call)

    deployment.gpu.behave = meanwhile
    assert (await deployment.chat()).status_code == 200
    (response,) = refused
    assert response.status_code == status
    error = response.json()["error"]
    assert error["type"] == kind
    assert error["code"] == ("budget_exceeded" if status == 402 else "rate_limit_exceeded")
    assert f"Over the {scope}'s {message}" in error["message"]
    told = error["limit"]
    assert (told["name"], told["scope"]) == (case, scope)
    assert told["remaining"] == told["limit"] - told["spent"] - told["reserved"] < told["requested"]
    assert told["retry_after_s"] == int(response.headers["retry-after"])
    assert before["standings"] == before["after"]
    assert deployment.gpu.requests == 1
    assert 1 <= int(response.headers["retry-after"]) <= (31 * 86_400 if status == 402 else 60)
    assert response.headers.get("x-should-retry") == ("false" if status == 402 else None)
    for name in ("requests", "tokens"):
        shown = response.headers.get(f"x-ratelimit-remaining-{name}")
        assert (shown is not None) == case.startswith(name)
        assert shown is None or int(shown) <= 1


@pytest.mark.parametrize(
    "limits", [Limits(tokens_per_minute=TOKENS - 1), Limits(requests_per_minute=0), Limits(monthly_budget=COST - 1)]
)
async def test_a_request_that_can_never_fit_is_told_so(deploy: Deploy, limits: Limits) -> None:
    deployment = await deploy(key_limits=limits)
    response = await deployment.chat()
    assert response.status_code in (402, 429)
    assert response.json()["error"]["message"].endswith("it can never fit.")
    assert response.headers["x-should-retry"] == "false"


async def test_a_request_that_fits_exactly_is_admitted(deploy: Deploy) -> None:
    limits = Limits(tokens_per_minute=TOKENS, requests_per_minute=1, monthly_budget=COST, concurrent_requests=1)
    deployment = await deploy(account_limits=limits, key_limits=limits)
    assert (await deployment.chat()).status_code == 200


async def test_what_was_not_used_is_free_again(deploy: Deploy) -> None:
    """Two requests whose bounds together are over the limit, one after the other."""
    deployment = await deploy(account_limits=Limits(tokens_per_minute=TOKENS + 20))
    assert [(await deployment.chat()).status_code for _ in range(2)] == [200, 200]


async def test_refused_requests_never_count(deploy: Deploy) -> None:
    """Neither those that are wrong, nor those that fail at the GPU, burn the request rate."""
    deployment = await deploy(account_limits=Limits(requests_per_minute=1))
    deployment.gpu.behave = lambda call: call.refuse(Unavailable("full"))
    assert [(await deployment.chat()).status_code for _ in range(3)] == [503] * 3
    assert (await deployment.chat(tools=[{}])).status_code == 400
    assert (await deployment.chat(model="nope")).status_code == 404
    deployment.gpu.behave = answer
    assert (await deployment.chat()).status_code == 200
    assert (await deployment.chat()).status_code == 429


async def test_a_model_without_a_price_in_force_is_not_served(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=ALL)
    response = await deployment.chat(model="unpriced")
    assert (response.status_code, response.headers["retry-after"]) == (503, "60")
    assert "no price in force" in response.json()["error"]["message"]
    assert deployment.gpu.requests == 0
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


async def test_an_unexpected_failure_of_dispatch_gives_the_reservation_back(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch
) -> None:
    deployment = await deploy(account_limits=ALL)
    monkeypatch.setattr(deployment.edge, "http", None)
    assert (await deployment.chat()).status_code == 500
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}


@pytest.mark.parametrize("method", ["reserve", "caller", "switch"])
async def test_a_ledger_that_goes_away_is_a_503(deployment: Deployment, method: str) -> None:
    (await Watched.within(deployment)).away = {method}
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "ledger_unavailable")
    assert "secret" not in response.text


async def test_a_ledger_that_goes_away_before_the_release_keeps_the_gpus_error(deploy: Deploy) -> None:
    """The lease then ends by itself."""
    deployment = await deploy(account_limits=ALL)
    (await Watched.within(deployment)).away = {"release"}
    deployment.gpu.behave = lambda call: call.refuse(Unavailable("full", code="queue_full"))
    response = await deployment.chat()
    assert (response.status_code, response.json()["error"]["code"]) == (503, "queue_full")
    await deployment.ledger.expire(now_ms() + 10_000_000)
    assert {standing.reserved for standing in (await deployment.standings()).values()} == {0}
