"""Several answers, probabilities, penalties and a full queue, end to end, through OpenAI's own client."""

import asyncio
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import AsyncOpenAI
from tokenizers import Tokenizer

from tests.e2e.service import ROOT, Service, serving

pytestmark = pytest.mark.anyio

HELLO: Any = [{"role": "user", "content": "Hello!"}]


def ask(service: Service, **parameters: Any) -> Any:
    return service.client().chat.completions.create(model="demo", messages=HELLO, **parameters)


def test_three_choices_are_three_answers_to_one_prompt(service: Service) -> None:
    one = ask(service, temperature=0)
    three = ask(service, n=3, temperature=1.5, seed=5)
    assert [choice.index for choice in three.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in three.choices}) > 1
    assert three.usage.prompt_tokens == one.usage.prompt_tokens
    assert three.usage.completion_tokens > 3


def test_the_choices_of_a_stream_are_those_of_the_whole(service: Service) -> None:
    whole = ask(service, n=3, temperature=1.5, seed=5)
    texts, roles, ends = ["", "", ""], [0, 0, 0], ["", "", ""]
    for chunk in ask(service, n=3, temperature=1.5, seed=5, stream=True):
        (choice,) = chunk.choices
        roles[choice.index] += choice.delta.role is not None
        texts[choice.index] += choice.delta.content or ""
        ends[choice.index] += choice.finish_reason or ""
    assert texts == [choice.message.content for choice in whole.choices]
    assert ends == [choice.finish_reason for choice in whole.choices]
    assert roles == [1, 1, 1]


def test_probabilities_spell_the_answer(service: Service) -> None:
    choice = ask(service, temperature=0, logprobs=True, top_logprobs=4).choices[0]
    tokens = choice.logprobs.content
    assert bytes(byte for token in tokens for byte in token.bytes).decode() == choice.message.content
    assert all(len(token.top_logprobs) == 4 for token in tokens)
    assert all(token.token == token.top_logprobs[0].token for token in tokens)  # greedy
    assert all(token.logprob <= 0 for token in tokens)


def test_a_bias_forbids_a_token(service: Service) -> None:
    tokenizer = Tokenizer.from_file(str(ROOT / "models" / "demo" / "tokenizer.json"))
    first = ask(service, temperature=0, max_completion_tokens=1).choices[0].message.content
    (token,) = tokenizer.encode(first, add_special_tokens=False).ids
    biased = ask(service, temperature=0, max_completion_tokens=1, logit_bias={str(token): -100})
    assert biased.choices[0].message.content != first
    stopped = ask(service, temperature=0, extra_body={"stop_token_ids": [token]})
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("", "stop")
    with pytest.raises(openai.BadRequestError) as refusal:
        ask(service, logit_bias={"100000": -100})
    assert (refusal.value.param, refusal.value.code) == ("logit_bias", "invalid_token_id")


def test_an_answer_may_be_made_to_go_on(service: Service) -> None:
    answer = ask(service, temperature=0, max_completion_tokens=100, extra_body={"ignore_eos": True})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 100
    assert ask(service, temperature=0).usage.completion_tokens < 100


async def test_a_flood_is_told_that_it_is_one(tmp_path: Path, endless_model: Path) -> None:
    """One runs and two wait; whose the two are gets 429, and can do something about it."""
    small = {"PENSTOCK_MAX_RUNNING": "1", "PENSTOCK_MAX_WAITING": "2"}
    with serving(tmp_path / "data", "--model", str(endless_model), **small) as service:
        name = service.client().models.list().data[0].id
        async with AsyncOpenAI(base_url=f"{service.url}/v1", api_key=service.key, max_retries=0) as client:

            async def stream() -> Any:
                return await client.chat.completions.create(
                    model=name, messages=HELLO, max_tokens=10_000, temperature=0, stream=True
                )

            async with await stream() as running:
                await anext(aiter(running))
                flood = [asyncio.create_task(stream()) for _ in range(3)]
                (refused,), waiting = await asyncio.wait(flood, return_when=asyncio.FIRST_COMPLETED)
                for task in waiting:
                    task.cancel()
                await asyncio.wait(waiting)
    error = refused.exception()
    assert isinstance(error, openai.RateLimitError)
    assert error.code == "queue_full"
    assert int(error.response.headers["retry-after"]) > 0
