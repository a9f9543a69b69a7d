"""A chat request, end to end, through OpenAI's own client."""

from urllib.parse import urlsplit

import httpx2
import pytest
from openai.types.chat import ChatCompletionMessageParam

from tests.e2e.service import Service

pytestmark = pytest.mark.anyio

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello!"}]


def test_an_answer_is_english_and_counted(service: Service) -> None:
    answer = service.client().chat.completions.create(model="demo", messages=HELLO, temperature=0)
    choice = answer.choices[0]
    assert choice.message.content is not None
    assert "help" in choice.message.content.lower() or "hello" in choice.message.content.lower()
    assert choice.finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.prompt_tokens > 0
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens


@pytest.mark.parametrize("delivery", ["relay", "direct"])
async def test_a_stream_equals_the_whole_answer_and_its_usage_the_ledgers_record(
    service: Service, delivery: str
) -> None:
    client = service.client()
    whole = client.chat.completions.create(model="demo", messages=HELLO, temperature=0)
    stream = client.chat.completions.create(
        model="demo",
        messages=HELLO,
        temperature=0,
        stream=True,
        stream_options={"include_usage": True},
        extra_headers={"Penstock-Delivery": delivery},
    )
    edge, answered_by = urlsplit(service.url), stream.response.url
    assert (answered_by.port == edge.port) == (delivery == "relay")
    chunks = list(stream)
    text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert text == whole.choices[0].message.content
    assert len([chunk for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]) > 3
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-2].choices[0].finish_reason == "stop"
    usage = chunks[-1].usage
    assert chunks[-1].choices == []
    assert usage is not None
    assert all(chunk.usage is None for chunk in chunks[:-1])

    ledger = await service.ledger()
    record = await ledger.record("req_" + chunks[0].id.removeprefix("chatcmpl-"))
    await ledger.close()
    assert record is not None
    assert not record.provisional
    assert record.usage.prompt_tokens == usage.prompt_tokens
    assert record.usage.completion_tokens == usage.completion_tokens
    assert record.nano == usage.prompt_tokens * 100 + usage.completion_tokens * 400


def test_a_whole_answer_by_direct_delivery(service: Service) -> None:
    raw = service.client().chat.completions.with_raw_response.create(
        model="demo", messages=HELLO, extra_headers={"Penstock-Delivery": "direct"}
    )
    assert raw.http_response.history[0].status_code == 307
    assert "authorization" not in raw.http_response.request.headers
    assert raw.parse().choices[0].message.content


def test_a_seed_and_a_limit_are_honoured(service: Service) -> None:
    def ask(seed: int) -> str | None:
        answer = service.client().chat.completions.create(
            model="demo", messages=HELLO, seed=seed, temperature=1.5, max_completion_tokens=7
        )
        assert answer.choices[0].finish_reason in ("length", "stop")
        assert answer.usage is not None
        assert answer.usage.completion_tokens <= 7
        return answer.choices[0].message.content

    assert ask(1) == ask(1)
    assert len({ask(seed) for seed in range(6)}) > 1


def test_a_stop_string_ends_the_answer_before_itself(service: Service) -> None:
    def ask(**options: str) -> str:
        answer = service.client().chat.completions.create(model="demo", messages=HELLO, temperature=0, **options)  # type: ignore[call-overload]
        text: str = answer.choices[0].message.content
        return text

    whole = ask()
    stop = whole.split()[2]
    assert ask(stop=stop) == whole.partition(stop)[0]


def test_models_are_listed_and_retrieved(service: Service) -> None:
    client = service.client()
    assert [model.id for model in client.models.list()] == ["demo"]
    assert client.models.retrieve("demo").owned_by == "penstock"


def test_the_usage_command_and_route_agree(service: Service) -> None:
    key = service.create_key("--name", "metered")
    answers = [service.client(key).chat.completions.create(model="demo", messages=HELLO) for _ in range(3)]
    total = sum(answer.usage.total_tokens for answer in answers if answer.usage)
    response = httpx2.get(f"{service.url}/v1/usage", headers={"Authorization": f"Bearer {key}"})
    report = response.json()
    assert len(report["data"]) == 1
    row = report["data"][0]
    assert row["requests"] == 3
    assert row["prompt_tokens"] + row["completion_tokens"] == total
    table = service.run("usage", "--key", report["key"], "--csv")
    assert str(row["prompt_tokens"]) in table
    assert row["cost_usd"] in table
