"""Answers as models: what a newer API adds is passed over, what an answer must have is asked for."""

import base64
import struct
from typing import Any

import pytest

from penstock.client.answers import ChatCompletion, Model, UsageReport, read_answer, read_embeddings
from penstock.client.call import Answer, Reply
from penstock.client.errors import UnexpectedAnswer

CHAT: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "demo",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Yes.", "refusal": None, "mood": "fine"},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 3,
        "completion_tokens": 2,
        "total_tokens": 5,
        "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 0},
    },
    "system_fingerprint": "x",
}
REPLY = Reply("req_1", {"x-ratelimit-limit-requests": "5"}, 1)


def embeddings(*vectors: Any) -> Answer:
    data = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in enumerate(vectors)]
    usage = {"prompt_tokens": 1, "total_tokens": 1}
    return Answer({"object": "list", "data": data, "model": "m", "usage": usage}, REPLY)


def test_what_a_newer_api_adds_is_passed_over() -> None:
    answer = read_answer(ChatCompletion, Answer(CHAT, REPLY))
    assert answer.choices[0].message.content == "Yes."
    assert answer.usage.total_tokens == 5
    assert "system_fingerprint" not in answer.model_dump()


def test_an_answer_has_its_reply() -> None:
    answer = read_answer(ChatCompletion, Answer(CHAT, REPLY))
    assert (answer.request_id, answer.reply) == ("req_1", REPLY)
    assert "reply" not in answer.model_dump()
    assert answer.model_copy().request_id == "req_1"
    assert ChatCompletion.model_validate(CHAT).request_id is None


@pytest.mark.parametrize("body", [None, [], {}, {**CHAT, "choices": "x"}, {"object": "list"}])
def test_what_is_no_such_answer_is_said(body: Any) -> None:
    for kind in (ChatCompletion, UsageReport, Model):
        with pytest.raises(UnexpectedAnswer, match=f"no {kind.__name__}"):
            read_answer(kind, Answer(body, REPLY))


def test_base64_is_read_as_the_numbers_that_it_stands_for() -> None:
    vector = [0.5, -0.25, 3.0, 1e-20]
    packed = base64.b64encode(struct.pack("<4f", *vector)).decode()
    read = read_embeddings(embeddings(packed, [1.0]), encoded=False)
    assert read.data[0].embedding == list(struct.unpack("<4f", struct.pack("<4f", *vector)))
    assert read.data[1].embedding == [1.0]
    assert read.request_id == "req_1"
    assert read_embeddings(embeddings(packed), encoded=True).data[0].embedding == packed


@pytest.mark.parametrize("text", ["AAA", "!!!!", "AAAA"])
def test_what_is_no_base64_of_numbers_is_said(text: str) -> None:
    with pytest.raises(UnexpectedAnswer, match="base64"):
        read_embeddings(embeddings(text), encoded=False)
