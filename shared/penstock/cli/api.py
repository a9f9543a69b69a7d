"""Penstock's API as `penstock chat` uses it: the served models, and a streamed answer.

It is carried as the client carries it. What is read of an answer is less than the client reads: servers other
than ours, which leave parts of OpenAI's format out, can be talked to as well.
"""

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import orjson
from pydantic import BaseModel

from penstock.cli.api_failures import api_failures
from penstock.cli.failure import Failure
from penstock.client.call import Call
from penstock.client.http import Endpoint
from penstock.client.http_caller import HttpCaller


class _Model(BaseModel):
    id: str


class _Models(BaseModel):
    data: list[_Model]


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta
    finish_reason: str | None = None


class _Usage(BaseModel):
    prompt_tokens: int = 0
    completion_tokens: int = 0


class _Chunk(BaseModel):
    choices: list[_Choice] = []
    usage: _Usage | None = None


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an answer: OpenAI's finish reason, and the tokens where the API says them."""

    reason: str
    prompt_tokens: int
    completion_tokens: int


class Api:
    """A connection to one API, with one key. Every error becomes a Failure of one line."""

    def __init__(self, url: str, key: str) -> None:
        self.url = url.rstrip("/")
        with api_failures(self.url):
            self._caller = HttpCaller(Endpoint(self.url, key, max_retries=0))  # who talks asks again

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._caller.close()

    def first_model(self) -> str:
        """The first model that the key may use."""
        with api_failures(self.url):
            models = _Models.model_validate(self._caller.whole(Call(method="GET", path="/models")).body).data
        if not models:
            raise Failure("the key may use none of the served models")
        return models[0].id

    def answer(self, model: str, messages: Sequence[Mapping[str, str]]) -> Generator[str | Ended]:
        """The answer's text as it comes, and its end. Closing the iterator cancels the generation."""
        request = {
            "model": model,
            "messages": messages,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        call = Call(method="POST", path="/chat/completions", body=orjson.dumps(request))
        reason, usage = "", _Usage()
        with api_failures(self.url), closing(self._caller.stream(call).chunks) as chunks:
            for chunk in map(_Chunk.model_validate, chunks):
                usage = chunk.usage or usage
                for choice in chunk.choices:
                    reason = choice.finish_reason or reason
                    if choice.delta.content:
                        yield choice.delta.content
            yield Ended(reason, usage.prompt_tokens, usage.completion_tokens)
