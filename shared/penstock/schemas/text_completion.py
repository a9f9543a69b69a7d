"""A plain completion's answer: whole, or as the chunks of a stream, which have the same shape."""

from typing import Literal

from penstock.schemas.completion import CompletionUsage, FinishReason
from penstock.schemas.wire import Wire


class CompletionLogprobs(Wire):
    """Of each token, in lists of one length. The first token of an echoed prompt follows nothing: null."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None] | None  # None where no alternatives were asked for
    text_offset: list[int]  # in characters of the choice's text


class CompletionChoice(Wire):
    """One answer to one prompt, or a chunk's part of it. `index`: the prompt's place * n + the choice's."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: FinishReason | None


class Completion(Wire):
    """The answer, or one event of a stream; there `usage` comes only where `include_usage` was asked for."""

    id: str
    object: Literal["text_completion"]
    created: int  # seconds since the epoch
    model: str
    choices: list[CompletionChoice]
    usage: CompletionUsage | None = None
