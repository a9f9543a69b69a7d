"""Penstock's API as `penstock chat` uses it: the served models, and a streamed answer."""

from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import httpx2
import orjson
from pydantic import BaseModel, ValidationError

from penstock.cli.failure import Failure
from penstock.client.sse import EventTooLong, SseDecoder

_TIMEOUT = httpx2.Timeout(10.0, read=300.0)  # seconds; a cold model says nothing for a while
_LONGEST_BODY = 1 << 20  # bytes, where the answer is no stream


# What is read of the wire format; other servers than ours may leave parts of it out.
class _Error(BaseModel):
    message: str
    code: str | None = None

    def line(self) -> str:
        return " ".join(self.message.split())


class _Refusal(BaseModel):
    error: _Error


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
    error: _Error | None = None


class ApiFailure(Failure):
    """The API refused, or broke off; `code` is the envelope's."""

    def __init__(self, message: str, code: str | None) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Ended:
    """The end of an answer: OpenAI's finish reason, and the tokens where the API says them."""

    reason: str
    prompt_tokens: int
    completion_tokens: int


class Api:
    """A connection to one API, with one key. Every error becomes a Failure of one line."""

    def __init__(self, url: str, key: str, *, proxied: bool) -> None:
        self.url = url.rstrip("/")
        # A proxy of the environment is for other machines, not for this one.
        headers = {"Authorization": f"Bearer {key}"}
        self._client = httpx2.Client(headers=headers, timeout=_TIMEOUT, trust_env=proxied)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        self._client.close()

    def first_model(self) -> str:
        """The first model that the key may use."""
        with self._failures(), self._client.stream("GET", f"{self.url}/models") as response:
            models = _Models.model_validate_json(_checked(response)).data
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
        headers = {"Content-Type": "application/json"}
        with (
            self._failures(),
            self._client.stream(
                "POST", f"{self.url}/chat/completions", content=orjson.dumps(request), headers=headers
            ) as response,
        ):
            if response.status_code != 200:
                _checked(response)
            yield from _read(response)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except httpx2.ConnectError as error:
            raise Failure(f"cannot reach {self.url}: {error}; is `penstock serve` running?") from error
        except (httpx2.TransportError, httpx2.InvalidURL) as error:
            raise Failure(f"{self.url}: {str(error) or type(error).__name__}") from error
        except (EventTooLong, ValidationError) as error:
            raise Failure(f"{self.url} does not answer as OpenAI's API does") from error


def _checked(response: httpx2.Response) -> bytes:
    """The body of a good answer. Raises ApiFailure with the envelope's message."""
    body = b""
    for part in response.iter_bytes():
        body += part
        if len(body) > _LONGEST_BODY:
            raise ApiFailure(f"HTTP {response.status_code} with a body over {_LONGEST_BODY} bytes", None)
    if response.status_code == 200:
        return body
    try:
        error = _Refusal.model_validate_json(body).error
    except ValidationError as cause:
        raise ApiFailure(f"HTTP {response.status_code} without OpenAI's error envelope", None) from cause
    raise ApiFailure(error.line(), error.code)


def _read(response: httpx2.Response) -> Iterator[str | Ended]:
    decoder = SseDecoder()
    reason, usage = "", _Usage()
    for raw in response.iter_bytes():
        for event in decoder.feed(raw):
            if event.data == "[DONE]":
                yield Ended(reason, usage.prompt_tokens, usage.completion_tokens)
                return
            chunk = _Chunk.model_validate_json(event.data)
            if chunk.error is not None:
                raise ApiFailure(chunk.error.line(), chunk.error.code)
            usage = chunk.usage or usage
            for choice in chunk.choices:
                reason = choice.finish_reason or reason
                if choice.delta.content:
                    yield choice.delta.content
    raise ApiFailure("the answer broke off", None)
