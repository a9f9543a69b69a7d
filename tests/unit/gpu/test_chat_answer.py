"""A chat completion's bytes, pinned: clients parse them."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.chat_answer import ChatAnswer
from functions.gpu.engine import Candidate, Delta, Finished, FinishReason, Prefilled, TokenLogprobs
from functions.gpu.work import Happening
from penstock.ledger import Usage
from penstock.schemas import read_chat_request
from tests.unit.gpu.lease import LEASE, NOW

HEAD = '{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1750000000,"model":"demo",'
USAGE = Usage(prompt_tokens=3, cached_prompt_tokens=1, completion_tokens=2)
ON_THE_WIRE = '{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}'
ROLE = '{"role":"assistant","content":"","refusal":null}'
EURO = TokenLogprobs(Candidate(7, b"\xe2\x82", -0.25), (Candidate(7, b"\xe2\x82", -0.25), Candidate(8, b"no", -2.5)))


def answer_to(**parameters: Any) -> ChatAnswer:
    """The answer to a request."""
    body = {"model": "demo", "messages": [{"role": "user", "content": "hi"}], **parameters}
    return ChatAnswer(LEASE, NOW, read_chat_request(orjson.dumps(body)))


def choices(delta: str, reason: str = "null", index: int = 0, logprobs: str = "null") -> str:
    return f'"choices":[{{"index":{index},"delta":{delta},"logprobs":{logprobs},"finish_reason":{reason}}}]'


def chunk(choice: str, usage: str = "") -> str:
    return f"data: {HEAD}{choice}{usage}}}\n\n"


def test_the_chunks_of_a_stream() -> None:
    answer = answer_to(stream=True)
    assert answer.chunks(Prefilled(0, 3, 1)) == b""
    assert answer.chunks(Delta("", 1)) == b""
    assert answer.chunks(Delta("hé\n", 2)).decode() == chunk(choices(ROLE)) + chunk(choices('{"content":"hé\\n"}'))
    assert answer.chunks(Delta("o", 3)).decode() == chunk(choices('{"content":"o"}'))
    assert answer.chunks(Finished(FinishReason.LENGTH, 3)).decode() == chunk(choices("{}", '"length"'))
    assert answer.ending(USAGE) == b"data: [DONE]\n\n"


def test_the_chunks_of_a_stream_with_usage() -> None:
    answer = answer_to(stream=True, stream_options={"include_usage": True})
    none = ',"usage":null'
    said = answer.chunks(Delta("a", 1)).decode()
    assert said == chunk(choices(ROLE), none) + chunk(choices('{"content":"a"}'), none)
    assert answer.ending(USAGE).decode() == chunk('"choices":[]', f',"usage":{ON_THE_WIRE}') + "data: [DONE]\n\n"


def test_each_choice_of_a_stream_says_its_role_first() -> None:
    answer = answer_to(stream=True, n=2)
    assert answer.chunks(Delta("a", 1, 1)).decode() == (
        chunk(choices(ROLE, index=1)) + chunk(choices('{"content":"a"}', index=1))
    )
    assert answer.chunks(Finished(FinishReason.STOP, 1, 0)).decode() == (
        chunk(choices(ROLE, index=0)) + chunk(choices("{}", '"stop"', index=0))
    )
    assert answer.chunks(Delta("b", 2, 1)).decode() == chunk(choices('{"content":"b"}', index=1))


def test_a_whole_answer() -> None:
    answer = answer_to()
    for event in (Prefilled(0, 3, 1), Delta("h", 1), Delta("é", 2), Finished(FinishReason.STOP, 2)):
        answer.add(event)
    assert answer.whole(USAGE).decode() == (
        '{"id":"chatcmpl-1","object":"chat.completion","created":1750000000,"model":"demo","choices":[{"index":0,'
        '"message":{"role":"assistant","content":"hé","refusal":null},"logprobs":null,"finish_reason":"stop"}],'
        f'"usage":{ON_THE_WIRE}}}'
    )


def test_probabilities_go_with_their_tokens() -> None:
    """Half a character has no text yet, and is said all the same."""
    said = answer_to(stream=True, logprobs=True, top_logprobs=2).chunks(Delta("", 1, 0, (EURO,))).decode()
    half = '"token":"\ufffd","bytes":[226,130],"logprob":-0.25'
    token = f'{{{half},"top_logprobs":[{{{half}}},{{"token":"no","bytes":[110,111],"logprob":-2.5}}]}}'
    logprobs = f'{{"content":[{token}],"refusal":null}}'
    assert said == chunk(choices(ROLE)) + chunk(choices('{"content":""}', logprobs=logprobs))


def test_a_whole_answer_has_the_probabilities_of_all_its_tokens() -> None:
    asked, empty = answer_to(logprobs=True), answer_to(logprobs=True)
    for event in (Delta("", 1, 0, (EURO,)), Delta("€", 2, 0, (EURO, EURO)), Finished(FinishReason.STOP, 4)):
        asked.add(event)
    empty.add(Finished(FinishReason.STOP, 1))
    logprobs = [orjson.loads(answer.whole(USAGE))["choices"][0]["logprobs"] for answer in (asked, empty)]
    assert [len(one["content"]) for one in logprobs] == [3, 0]


@given(st.lists(st.tuples(st.integers(0, 2), st.text(max_size=3)), max_size=12), st.data())
def test_a_stream_says_what_the_whole_says(texts: list[tuple[int, str]], data: st.DataObject) -> None:
    """However the choices' tokens are interleaved."""
    said: list[Happening] = [Delta(text, place, index) for place, (index, text) in enumerate(texts, start=1)]
    ends = data.draw(st.permutations(range(3)))
    said += [Finished(FinishReason.STOP, len(texts), index) for index in ends]
    streamed, whole = answer_to(stream=True, n=3), answer_to(n=3)
    lines = b"".join(map(streamed.chunks, said)).decode().split("\n\n")[:-1]
    for event in said:
        whole.add(event)
    chunks = [orjson.loads(line.removeprefix("data: "))["choices"][0] for line in lines]
    for choice in orjson.loads(whole.whole(USAGE))["choices"]:
        own = [one for one in chunks if one["index"] == choice["index"]]
        assert "".join(one["delta"].get("content", "") for one in own) == choice["message"]["content"]
        assert [one["delta"].get("role") for one in own] == ["assistant"] + [None] * (len(own) - 1)
        assert [one["finish_reason"] for one in own] == [None] * (len(own) - 1) + ["stop"]
