"""The engine's seam: token ids and sampling parameters in, events out.

The engine knows nothing of HTTP, keys or money. Whoever calls it holds the request's identity, limits and
bill. Everything here is asynchronous for the caller; the work itself happens off the caller's event loop.
"""

from array import array
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import inf, isfinite
from typing import Protocol

from functions.gpu.engine.figures import Figures

MOST_CHOICES = 8  # answers to one prompt
MOST_LOGPROBS = 20  # alternatives to one token


class GrammarKind(StrEnum):
    """What an answer may be held to."""

    JSON_OBJECT = "json_object"  # any JSON object; the text is empty
    JSON_SCHEMA = "json_schema"  # the text is a JSON Schema
    REGEX = "regex"  # the text is a regular expression, in the syntax of Rust's regex crate
    CHOICE = "choice"  # the text is a JSON list of strings, one of which is the answer


@dataclass(frozen=True, slots=True)
class GrammarSpec:
    """The form that an answer must have, as the caller wrote it."""

    kind: GrammarKind
    text: str = ""


class Grammar(Protocol):
    """A form that was compiled for one engine (Engine.compile) and that generations may share."""

    @property
    def spec(self) -> GrammarSpec:
        """What it was compiled from."""


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to pick tokens, and when to stop. What is not said has no effect.

    Logits are changed in this order: repetition penalty, presence and frequency penalties, logit_bias,
    tokens that may not come (an end before `min_tokens`, what the grammar forbids), temperature, top_k,
    top_p, min_p. ValueError for values that have no meaning; what a caller of the API may ask for is the
    edge's business.
    """

    max_tokens: int  # of each choice; 0 computes the prompt only
    temperature: float = 1.0  # 0 is greedy
    top_p: float = 1.0  # the likeliest tokens that reach this probability; 0 is greedy
    top_k: int = 0  # this many of the likeliest tokens; 0: all
    min_p: float = 0.0  # tokens at least this likely, relative to the likeliest
    seed: int | None = None  # None draws a fresh one
    n: int = 1  # choices of each prompt, which is computed once
    presence_penalty: float = 0.0  # subtracted from the logits of tokens in the answer so far
    frequency_penalty: float = 0.0  # the same, times how often they are there
    repetition_penalty: float = 1.0  # divides positive, multiplies negative logits of tokens in prompt or answer
    logit_bias: Mapping[int, float] = field(default_factory=dict)  # added to the logits, by token id
    logprobs: int | None = None  # alternatives to report with each token; None: no probabilities at all
    prompt_logprobs: int | None = None  # the same of the prompt's tokens
    min_tokens: int = 0  # before these no end, no stop token and no stop string counts
    ignore_eos: bool = False  # the model's own end tokens end nothing
    stop: tuple[str, ...] = ()
    stop_token_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None

    def __post_init__(self) -> None:
        if self.max_tokens < 0:
            raise ValueError(f"max_tokens is {self.max_tokens}, not at least 0")
        if not (0 <= self.temperature < inf and 0 <= self.top_p <= 1 and 0 <= self.min_p <= 1 and self.top_k >= 0):
            raise ValueError("temperature, top_p, min_p or top_k is out of range")
        if not 1 <= self.n <= MOST_CHOICES:
            raise ValueError(f"n is {self.n}, not between 1 and {MOST_CHOICES}")
        if not 0 < self.repetition_penalty < inf:
            raise ValueError(f"repetition_penalty is {self.repetition_penalty}, not positive")
        added = (self.presence_penalty, self.frequency_penalty, *self.logit_bias.values())
        if not all(isfinite(number) for number in added):
            raise ValueError("a penalty or a bias is not finite")
        if any(not 0 <= wanted <= MOST_LOGPROBS for wanted in (self.logprobs or 0, self.prompt_logprobs or 0)):
            raise ValueError(f"logprobs is not between 0 and {MOST_LOGPROBS}")
        if not 0 <= self.min_tokens <= self.max_tokens:
            raise ValueError(f"min_tokens is {self.min_tokens}, not between 0 and max_tokens")
        if "" in self.stop:
            raise ValueError("a stop string is empty")


class FinishReason(StrEnum):
    """Why a generation ended by itself."""

    STOP = "stop"  # an end-of-sequence token, a stop string or token, or the grammar is complete
    LENGTH = "length"  # max_tokens, or the context is full


@dataclass(frozen=True, slots=True)
class Candidate:
    """A token, the bytes it stands for, and the natural logarithm of its probability.

    Probabilities are the model's own: the softmax of its logits, before penalties, bias, temperature and
    grammar. `logprob` is None for the first token of a prompt, which follows nothing.
    """

    id: int
    raw: bytes
    logprob: float | None


@dataclass(frozen=True, slots=True)
class TokenLogprobs:
    """A token that came, and as many of the likeliest at its place as were asked for, likeliest first."""

    token: Candidate
    top: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True)
class Prefilled:
    """A prompt is computed; its first tokens follow. Comes once for each prompt, before its choices."""

    prompt: int  # its place in the request
    prompt_tokens: int
    cached_tokens: int  # of them, found in the prefix cache
    logprobs: tuple[TokenLogprobs, ...] = ()  # of all its tokens, where prompt_logprobs was asked for


@dataclass(frozen=True, slots=True)
class Delta:
    """New text of one choice. Never half a character, never part of a stop string; often empty.

    `completion_tokens` counts every token generated so far for this choice. `logprobs` are of the tokens
    since the last delta, whose text may come later.
    """

    text: str
    completion_tokens: int
    index: int = 0  # the choice: place of its prompt * n + place among its siblings
    logprobs: tuple[TokenLogprobs, ...] = ()


@dataclass(frozen=True, slots=True)
class Finished:
    """The last event of a choice. Its end-of-sequence token is counted, as OpenAI does."""

    reason: FinishReason
    completion_tokens: int
    index: int = 0


Event = Prefilled | Delta | Finished


class EngineError(Exception):
    """A generation failed for a reason of the engine's own; its neighbours go on."""


class QueueFull(EngineError):
    """As many requests are waiting as may wait."""

    def __init__(self, waiting: int, limit: int, *, own: int = 0, retry_after_s: int = 1) -> None:
        super().__init__(f"{waiting} requests are waiting, of {limit} that may; {own} of them this caller's")
        self.waiting = waiting
        self.limit = limit
        self.own = own  # of the same owner
        self.retry_after_s = retry_after_s


class PromptTooLong(EngineError):
    """The prompt and `max_tokens` together do not fit the context, or the memory for keys and values."""

    def __init__(self, prompt_tokens: int, max_tokens: int, context_length: int) -> None:
        super().__init__(f"{prompt_tokens} prompt tokens and {max_tokens} new ones over {context_length}")
        self.prompt_tokens = prompt_tokens
        self.max_tokens = max_tokens
        self.context_length = context_length


class InvalidPrompt(EngineError):
    """The prompt cannot be read: the chat template or the vocabulary does not take it; the message says why."""


class InvalidGrammar(EngineError):
    """The grammar cannot be compiled; one line says why, in words for whoever wrote it."""


class ModelUnreadable(EngineError):
    """The weights, the configuration or the tokenizer cannot be loaded; one line says why."""


class Engine(Protocol):
    """One loaded model, generating for many callers."""

    @property
    def context_length(self) -> int:
        """Prompt and completion together, in tokens."""

    @property
    def vocabulary_size(self) -> int:
        """Token ids are 0 to this, exclusive."""

    @property
    def embedding_size(self) -> int | None:
        """Numbers in an embedding; None where this model gives none."""

    @property
    def alive(self) -> bool:
        """Whether it works. Once it does not, it never will again: its process is to be replaced."""

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """The token ids of a conversation under the chat template, ready for the assistant's turn.

        Each message has `role` and `content`, and nothing in `content` can forge a special token.
        Raises InvalidPrompt.
        """

    async def encode(self, text: str) -> list[int]:
        """The token ids of a plain text, as the model's tokenizer begins one. Special tokens in it are such."""

    async def decode(self, tokens: Sequence[int]) -> str:
        """The text of token ids, special ones included."""

    async def compile(self, spec: GrammarSpec) -> Grammar:
        """Make a grammar ready for `Sampling.grammar`; bounded in time and size. Raises InvalidGrammar."""

    def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, owner: str = ""
    ) -> AsyncGenerator[Event, None]:
        """Generate for one prompt, or for several at once; ends after the Finished of every choice.

        The first step raises QueueFull, InvalidPrompt or PromptTooLong, or begins. Owners get equal turns,
        whatever each of them has waiting. Closing the generator (`aclose`) ends the generation and frees its
        slot within one step. Raises EngineError where this generation fails.
        """

    async def embed(
        self, prompts: Sequence[Sequence[int]], *, dimensions: int | None = None, owner: str = ""
    ) -> list["array[float]"]:
        """The embeddings of texts, each a float32 array of length 1 (Euclidean).

        `dimensions` keeps the first so many numbers. Raises what `generate` raises.
        """

    def figures(self) -> Figures:
        """What the engine is doing, and has done."""

    async def close(self) -> None:
        """End every generation and the engine's thread, and let go of the model."""
