"""Plain completions, end to end, through OpenAI's own client."""

from typing import Any

import openai
import pytest

from tests.e2e.service import Service, on_ledger

PROMPT = "Penstock is"


def complete(service: Service, prompt: Any = PROMPT, **parameters: Any) -> Any:
    """A greedy completion of a few tokens."""
    options = {"max_tokens": 8, "temperature": 0, **parameters}
    return service.client().completions.create(model="demo", prompt=prompt, **options)


def test_a_stream_equals_the_whole_and_its_usage_the_ledgers_record(service: Service) -> None:
    whole = complete(service)
    chunks = list(complete(service, stream=True, stream_options={"include_usage": True}))
    assert whole.object == "text_completion"
    assert "".join(chunk.choices[0].text for chunk in chunks if chunk.choices) == whole.choices[0].text
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason
    usage = chunks[-1].usage
    record = on_ledger(
        f"sqlite:///{service.data.resolve() / 'ledger.db'}",
        lambda ledger: ledger.record("req_" + chunks[0].id.removeprefix("cmpl-")),
    )
    assert record is not None
    assert record.usage.prompt_tokens == usage.prompt_tokens == whole.usage.prompt_tokens
    assert record.usage.cached_prompt_tokens == usage.prompt_tokens_details.cached_tokens
    assert record.usage.completion_tokens == usage.completion_tokens


def test_prompts_in_a_list_are_answered_as_if_alone(service: Service) -> None:
    prompts = [PROMPT, "A ticket", "The ledger"]
    answer = complete(service, prompts, n=2)
    assert [choice.index for choice in answer.choices] == list(range(6))
    alone = [complete(service, prompt) for prompt in prompts]
    texts = [one.choices[0].text for one in alone]
    assert [choice.text for choice in answer.choices] == [text for text in texts for _ in range(2)]
    assert answer.usage.prompt_tokens == sum(one.usage.prompt_tokens for one in alone)
    assert answer.usage.completion_tokens == 2 * sum(one.usage.completion_tokens for one in alone)


def test_an_echo_tells_how_likely_the_prompt_was(service: Service) -> None:
    choice = complete(service, echo=True, logprobs=3).choices[0]
    logprobs = choice.logprobs
    assert choice.text.startswith(PROMPT)
    assert (logprobs.token_logprobs[0], logprobs.top_logprobs[0]) == (None, None)
    assert all(logprob <= 0 for logprob in logprobs.token_logprobs[1:])
    # Where characters are ASCII, each token stands at its offset.
    for token, offset in zip(logprobs.tokens, logprobs.text_offset, strict=True):
        assert choice.text[offset : offset + len(token)] == token
    generated = sum(offset >= len(PROMPT) for offset in logprobs.text_offset)
    for token, top in list(zip(logprobs.tokens, logprobs.top_logprobs, strict=True))[-generated:]:
        assert max(top, key=top.get) == token  # greedy


def test_a_prompt_is_scored_without_an_answer(service: Service) -> None:
    answer = complete(service, echo=True, logprobs=1, max_tokens=0)
    assert answer.choices[0].text == PROMPT
    assert answer.choices[0].finish_reason == "length"
    assert len(answer.choices[0].logprobs.tokens) == answer.usage.prompt_tokens
    assert answer.usage.completion_tokens == 0


def test_token_ids_are_read_as_they_are(service: Service) -> None:
    answer = complete(service, [[300, 301, 302], [303]], echo=True, max_tokens=1)
    assert answer.usage.prompt_tokens == 4
    assert all(choice.text for choice in answer.choices)
    with pytest.raises(openai.BadRequestError) as refusal:
        complete(service, [300, 999_999])
    assert (refusal.value.param, refusal.value.code) == ("prompt", "invalid_token_id")
    assert "999999" in str(refusal.value)
    assert "this model's are 0 to " in str(refusal.value)


def test_the_beginning_that_came_before_is_cached_and_cheaper(service: Service) -> None:
    prompt = "The edge asks the ledger before a GPU is woken. " * 12
    key = service.create_key("--name", "cached")
    usages = [
        service.client(key).completions.create(model="demo", prompt=prompt, max_tokens=1, temperature=0).usage
        for _ in range(2)
    ]
    first, second = [usage for usage in usages if usage is not None]
    assert first.prompt_tokens_details is not None
    assert second.prompt_tokens_details is not None
    assert not first.prompt_tokens_details.cached_tokens
    cached = second.prompt_tokens_details.cached_tokens or 0
    assert 0 < cached < second.prompt_tokens

    async def look(ledger: Any) -> list[int]:
        return [record.nano for record in await ledger.records() if record.key_id == key.split("_")[1]]

    nanos = on_ledger(f"sqlite:///{service.data.resolve() / 'ledger.db'}", look)
    assert max(nanos) - min(nanos) == cached * 50
