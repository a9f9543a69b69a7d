"""A chat completion's answer: whole, or as the chunks of a stream."""

from typing import Any, Literal

import orjson

from penstock.schemas.wire import Wire

FinishReason = Literal["stop", "length"]


class PromptTokensDetails(Wire):
    """`cached_tokens` were found in the prefix cache and cost less."""

    cached_tokens: int = 0


class CompletionUsage(Wire):
    """The tokens of a request, as they are billed."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptTokensDetails

    @classmethod
    def of(cls, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> "CompletionUsage":
        """The usage of these counts; the cached ones are among the prompt's."""
        return cls(
            prompt_tokens=prompt_tokens,
            completion_tokens=completion_tokens,
            total_tokens=prompt_tokens + completion_tokens,
            prompt_tokens_details=PromptTokensDetails(cached_tokens=cached_tokens),
        )


class ResponseMessage(Wire):
    """The assistant's message."""

    role: Literal["assistant"]
    content: str
    refusal: None


class TopLogprob(Wire):
    """A token, the bytes it stands for, and the natural logarithm of its probability.

    `token` is the bytes as text, with U+FFFD for what is only a part of a character.
    """

    token: str
    bytes: list[int]
    logprob: float


class TokenLogprob(TopLogprob):
    """A token of the answer, and the likeliest at its place."""

    top_logprobs: list[TopLogprob]


class ChoiceLogprobs(Wire):
    """Of each token of the answer, or of a chunk's part of it."""

    content: list[TokenLogprob]
    refusal: None


class Choice(Wire):
    """One answer."""

    index: int
    message: ResponseMessage
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason


class ChatCompletion(Wire):
    """The answer to a request that does not stream."""

    id: str
    object: Literal["chat.completion"]
    created: int  # seconds since the epoch
    model: str
    choices: list[Choice]
    usage: CompletionUsage


class ChoiceDelta(Wire):
    """What a chunk adds: the role in the first, text in the next, nothing in the last."""

    role: Literal["assistant"] | None = None
    content: str | None = None
    refusal: None = None


class ChunkChoice(Wire):
    """A chunk's part of one answer."""

    index: int
    delta: ChoiceDelta
    logprobs: ChoiceLogprobs | None
    finish_reason: FinishReason | None


class ChatCompletionChunk(Wire):
    """One event of a stream. `usage` is there only where `include_usage` was asked for."""

    id: str
    object: Literal["chat.completion.chunk"]
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: CompletionUsage | None = None


DONE = b"data: [DONE]\n\n"


def event(data: bytes) -> bytes:
    """A server-sent event that carries one line of JSON."""
    return b"data: " + data + b"\n\n"


def comment(text: str) -> bytes:
    """A server-sent comment: clients ignore it, proxies see that the stream lives."""
    return f": {text}\n\n".encode()


def error_event(envelope: dict[str, Any]) -> bytes:
    """An error after the stream has begun, in the envelope that OpenAI's clients raise on."""
    return event(orjson.dumps(envelope))
