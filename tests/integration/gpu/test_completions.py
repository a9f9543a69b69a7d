"""Plain completions: prompts that are texts or token ids, continued, echoed, and with probabilities."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from openai.types import Completion

from functions.gpu.engine import Sampling
from penstock.ledger import Usage
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import completion, events, standing

pytestmark = pytest.mark.anyio


async def test_a_prompt_is_continued_and_booked(tmp_path: Path) -> None:
    engine = ScriptedEngine("lo", " you", cached=1)
    async with standing(tmp_path, engine) as stand:
        lease, response = await stand.post(completion("Hel"))
        record = await stand.record(lease)
    answer = Completion.model_validate_json(response.content)
    assert answer.id == f"cmpl-{lease.id.removeprefix('req_')}"
    assert (answer.object, answer.model) == ("text_completion", "demo")
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == ("lo you", "stop")
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 3)
    assert record is not None
    assert record.usage == Usage(3, 1, 3)
    (begun,) = engine.begun
    assert (begun.prompts, begun.sampling, begun.owner) == ([list(b"Hel")], Sampling(max_tokens=16), "acme")


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        (["a", "bc"], [[97], [98, 99]]),
        ([97, 98], [[97, 98]]),
        ([[97], [98, 99]], [[97], [98, 99]]),
    ],
)
async def test_every_form_of_prompts(tmp_path: Path, prompt: Any, tokens: list[list[int]]) -> None:
    engine = ScriptedEngine("!")
    async with standing(tmp_path, engine) as stand:
        lease, response = await stand.post(completion(prompt, n=2))
        record = await stand.record(lease)
    assert engine.begun[0].prompts == tokens
    answer = Completion.model_validate_json(response.content)
    assert [choice.index for choice in answer.choices] == list(range(2 * len(tokens)))
    assert record is not None
    assert record.usage == Usage(sum(map(len, tokens)), 0, 2 * len(tokens) * 2)


async def test_an_echo_is_the_prompts_text(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("!")) as stand:
        _, texts = await stand.post(completion(["né", "b"], echo=True))
        _, ids = await stand.post(completion(list("né".encode()), echo=True))
    assert [choice.text for choice in Completion.model_validate_json(texts.content).choices] == ["né!", "b!"]
    assert [choice.text for choice in Completion.model_validate_json(ids.content).choices] == ["né!"]


# From here on JSON is read as it is: OpenAI's types know nothing of the null that an echo begins with, though
# its API sends it and its client, which checks no types, passes it on.


async def test_an_echo_with_probabilities(tmp_path: Path) -> None:
    engine = ScriptedEngine("é", "!")
    async with standing(tmp_path, engine) as stand:
        _, response = await stand.post(completion("né", echo=True, logprobs=2))
    logprobs = orjson.loads(response.content)["choices"][0]["logprobs"]
    assert logprobs["tokens"] == ["n", "\ufffd", "\ufffd", "é", "!"]
    assert logprobs["token_logprobs"] == [None, -0.5, -0.5, -0.5, -0.5]
    assert logprobs["top_logprobs"][0] is None
    assert logprobs["top_logprobs"][-1] == {"!": -0.5, "0": -2.0}
    assert logprobs["text_offset"] == [0, 1, 1, 2, 3]
    assert (engine.begun[0].sampling.logprobs, engine.begun[0].sampling.prompt_logprobs) == (2, 2)


async def test_a_prompt_is_scored_without_an_answer(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("never said")) as stand:
        lease, response = await stand.post(completion("abc", echo=True, logprobs=0, max_tokens=0))
        record = await stand.record(lease)
    (choice,) = orjson.loads(response.content)["choices"]
    assert (choice["text"], choice["finish_reason"]) == ("abc", "length")
    assert choice["logprobs"]["token_logprobs"] == [None, -0.5, -0.5]
    assert record is not None
    assert record.usage == Usage(3, 0, 0)


async def test_a_stream_says_what_the_whole_says(tmp_path: Path) -> None:
    asked = completion(["a", "b"], n=2, echo=True, logprobs=1)
    async with standing(tmp_path, ScriptedEngine(("1", "2", "3", "4"), "", "!")) as stand:
        _, whole = await stand.post(asked)
        _, streamed = await stand.post({**asked, "stream": True, "stream_options": {"include_usage": True}})
    *chunks, usage, done = events(streamed.text)
    assert done == "[DONE]"
    answer = orjson.loads(whole.content)
    assert usage["usage"] == answer["usage"]
    parts = [chunk["choices"][0] for chunk in chunks]
    for choice in answer["choices"]:
        own = [part for part in parts if part["index"] == choice["index"]]
        assert "".join(part["text"] for part in own) == choice["text"]
        assert own[-1]["finish_reason"] == choice["finish_reason"]
        for field, values in choice["logprobs"].items():
            assert [one for part in own if part["logprobs"] for one in part["logprobs"][field] or [None]] == values
    assert [choice["text"] for choice in answer["choices"]] == ["a1!", "a2!", "b3!", "b4!"]
