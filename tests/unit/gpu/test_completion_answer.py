"""A plain completion's bytes, pinned: clients parse them."""

from typing import Any

import orjson

from functions.gpu.completion_answer import CompletionAnswer
from functions.gpu.engine import Candidate, Delta, Finished, FinishReason, Prefilled, TokenLogprobs
from functions.gpu.work import Happening
from penstock.ledger import Usage
from penstock.schemas import read_completion_request
from tests.unit.gpu.lease import LEASE, NOW

HEAD = '{"id":"cmpl-1","object":"text_completion","created":1750000000,"model":"demo",'
USAGE = Usage(prompt_tokens=3, cached_prompt_tokens=1, completion_tokens=2)
ON_THE_WIRE = '{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":1}}'
END = Finished(FinishReason.STOP, 2)


def answer_to(*echoes: str, **parameters: Any) -> CompletionAnswer:
    """The answer to a request."""
    body = {"model": "demo", "prompt": ["hi"] * max(1, len(echoes)), "echo": bool(echoes), **parameters}
    return CompletionAnswer(LEASE, NOW, read_completion_request(orjson.dumps(body)), echoes)


def token(raw: bytes, logprob: float | None = -0.5, **others: float) -> TokenLogprobs:
    """A token, itself the likeliest, with others."""
    own = Candidate(1, raw, logprob)
    top = [Candidate(2, name.encode(), other) for name, other in others.items()]
    return TokenLogprobs(own, (own, *top) if top else ())


def whole(answer: CompletionAnswer, *events: Happening) -> list[dict[str, Any]]:
    """The choices of a whole answer."""
    for event in events:
        answer.add(event)
    choices: list[dict[str, Any]] = orjson.loads(answer.whole(USAGE))["choices"]
    return choices


def choice(text: str, reason: str = "null", index: int = 0) -> str:
    return f'"choices":[{{"index":{index},"text":"{text}","logprobs":null,"finish_reason":{reason}}}]'


def test_the_chunks_of_a_stream() -> None:
    answer = answer_to(stream=True, stream_options={"include_usage": True})
    assert answer.chunks(Prefilled(0, 3, 1)) == b""
    assert answer.chunks(Delta("", 1)) == b""
    assert answer.chunks(Delta("hé", 2)).decode() == f'data: {HEAD}{choice("hé")},"usage":null}}\n\n'
    assert answer.chunks(END).decode() == f"data: {HEAD}" + choice("", '"stop"') + ',"usage":null}\n\n'
    assert answer.ending(USAGE).decode() == f'data: {HEAD}"choices":[],"usage":{ON_THE_WIRE}}}\n\ndata: [DONE]\n\n'


def test_a_whole_answer() -> None:
    answer = answer_to()
    for event in (Prefilled(0, 3, 1), Delta("h", 1), Delta("é", 2), END):
        answer.add(event)
    assert answer.whole(USAGE).decode() == HEAD + choice("hé", '"stop"') + f',"usage":{ON_THE_WIRE}}}'


def test_an_echo_comes_before_every_choice_of_its_prompt() -> None:
    answer = answer_to("one", "two", n=2)
    events: list[Happening] = [Prefilled(1, 3, 0), Delta("c", 1, 2), Prefilled(0, 3, 0)]
    choices = whole(answer, *events, *(Finished(FinishReason.STOP, 1, index) for index in range(4)))
    assert [one["text"] for one in choices] == ["one", "one", "twoc", "two"]
    streamed = answer_to("one", "two", n=2, stream=True).chunks(Prefilled(1, 3, 0)).decode()
    assert streamed == "".join(f"data: {HEAD}{choice('two', index=index)}}}\n\n" for index in (2, 3))


def test_probabilities_are_four_lists() -> None:
    events: list[Happening] = [
        Delta("Hi", 1, 0, (token(b"Hi", x=-2.0),)),
        Delta(" you", 2, 0, (token(b" you", x=-3.0),)),
        Finished(FinishReason.LENGTH, 2),
    ]
    (one,) = whole(answer_to(logprobs=2), *events)
    assert one["logprobs"] == {
        "tokens": ["Hi", " you"],
        "token_logprobs": [-0.5, -0.5],
        "top_logprobs": [{"Hi": -0.5, "x": -2.0}, {" you": -0.5, "x": -3.0}],
        "text_offset": [0, 2],
    }


def test_a_token_that_was_unlikely_stands_beside_the_likeliest() -> None:
    likeliest = Candidate(2, b"a", -0.1)
    unlikely = TokenLogprobs(Candidate(1, b"z", float("-inf")), (likeliest,))
    (one,) = whole(answer_to(logprobs=1), Delta("z", 1, 0, (unlikely,)), END)
    assert one["logprobs"]["top_logprobs"] == [{"a": -0.1, "z": -9999.0}]
    assert one["logprobs"]["token_logprobs"] == [-9999.0]


def test_without_alternatives_there_is_no_list_of_them() -> None:
    (one,) = whole(answer_to(logprobs=0), Delta("a", 1, 0, (token(b"a"),)), END)
    (none,) = whole(answer_to(logprobs=0), END)
    assert one["logprobs"] == {"tokens": ["a"], "token_logprobs": [-0.5], "top_logprobs": None, "text_offset": [0]}
    assert none["logprobs"] == {"tokens": [], "token_logprobs": [], "top_logprobs": None, "text_offset": []}


def test_an_echo_with_probabilities_begins_with_null() -> None:
    prompt = (token(b"h", None), token(b"i", x=-2.0))
    events: list[Happening] = [Prefilled(0, 2, 0, prompt), Delta("!", 1, 0, (token(b"!", x=-1.0),)), END]
    (one,) = whole(answer_to("hi", logprobs=1), *events)
    assert one["text"] == "hi!"
    assert one["logprobs"] == {
        "tokens": ["h", "i", "!"],
        "token_logprobs": [None, -0.5, -0.5],
        "top_logprobs": [None, {"i": -0.5, "x": -2.0}, {"!": -0.5, "x": -1.0}],
        "text_offset": [0, 1, 2],
    }


def test_a_prompt_alone_is_echoed_with_its_probabilities() -> None:
    prompt = (token(b"h", None), token(b"i"))
    events: list[Happening] = [Prefilled(0, 2, 0, prompt), Finished(FinishReason.LENGTH, 0)]
    (one,) = whole(answer_to("hi", logprobs=0, max_tokens=0), *events)
    assert (one["text"], one["finish_reason"]) == ("hi", "length")
    assert one["logprobs"]["tokens"] == ["h", "i"]


def test_the_probabilities_of_a_stream_are_those_of_its_chunks() -> None:
    answer = answer_to("h", logprobs=0, stream=True)
    said = [
        answer.chunks(event).decode()
        for event in (Prefilled(0, 1, 0, (token(b"h", None),)), Delta("", 1, 0, (token(b"\xe2\x82"),)), END)
    ]
    parts = [orjson.loads(line.removeprefix("data: "))["choices"][0] for line in said]
    assert [part["text"] for part in parts] == ["h", "", ""]
    assert [part["logprobs"] and part["logprobs"]["text_offset"] for part in parts] == [[0], [1], None]
