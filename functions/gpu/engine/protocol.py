"""The engine's seam: token ids and sampling parameters in, events out.

The engine knows nothing of HTTP, keys or money. Whoever calls it holds the request's identity, limits and
bill. Everything here is asynchronous for the caller; the work itself happens off the caller's event loop.
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import inf
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to pick tokens, and when to stop. Temperature 0 is greedy; `seed` None draws a fresh one.

    ValueError for values that have no meaning; what a caller of the API may ask for is the edge's business.
    """

    max_tokens: int  # at least 1
    temperature: float = 1.0
    top_p: float = 1.0
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.max_tokens < 1:
            raise ValueError(f"max_tokens is {self.max_tokens}, not at least 1")
        if not (0 <= self.temperature < inf and 0 <= self.top_p <= 1):
            raise ValueError(f"temperature {self.temperature} or top_p {self.top_p} is out of range")
        if "" in self.stop:
            raise ValueError("a stop string is empty")


class FinishReason(StrEnum):
    """Why a generation ended by itself."""

    STOP = "stop"  # an end-of-sequence token or a stop string
    LENGTH = "length"  # max_tokens, or the context is full


@dataclass(frozen=True, slots=True)
class Delta:
    """New text. Never half a character, never part of a stop string; empty where a token gave no text yet.

    `completion_tokens` counts every token generated so far for this request.
    """

    text: str
    completion_tokens: int


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a generation. Its end-of-sequence token is counted, as OpenAI does."""

    reason: FinishReason
    completion_tokens: int


Event = Delta | Finished


class EngineError(Exception):
    """A generation failed for a reason of the engine's own; its neighbours go on."""


class QueueFull(EngineError):
    """As many requests are waiting as may wait."""


class PromptTooLong(EngineError):
    """The prompt and `max_tokens` together do not fit the context."""

    def __init__(self, prompt_tokens: int, max_tokens: int, context_length: int) -> None:
        super().__init__(f"{prompt_tokens} prompt tokens and {max_tokens} new ones over {context_length}")
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_length = context_length


class InvalidPrompt(EngineError):
    """The chat template does not accept these messages; the message says why."""


class ModelUnreadable(EngineError):
    """The weights, the configuration or the tokenizer cannot be loaded; one line says why."""


class Engine(Protocol):
    """One loaded model, generating for many callers."""

    @property
    def context_length(self) -> int:
        """Prompt and completion together, in tokens."""

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of a conversation under the chat template, ready for the assistant's turn.

        Each message has `role` and `content`, and nothing in `content` can forge a special token.
        Raises InvalidPrompt.
        """

    def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[Event, None]:
        """Generate for one prompt. The first step raises QueueFull or PromptTooLong, or begins.

        Closing the generator (`aclose`) ends the generation and frees its slot within one step.
        Raises EngineError where this generation fails.
        """

    async def close(self) -> None:
        """End every generation and the engine's thread."""
