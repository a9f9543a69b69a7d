"""An engine that plays a script: what it says, when it waits and where it fails is written in the test."""

import asyncio
from array import array
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from functions.gpu.engine import (
    Candidate,
    Delta,
    Event,
    Figures,
    Finished,
    FinishReason,
    Grammar,
    GrammarSpec,
    Histogram,
    Prefilled,
    Sampling,
    TokenLogprobs,
)

Step = str | tuple[str, ...] | Exception | asyncio.Event
"""A token's text, the same for every choice or one for each; a failure; or something to wait for."""

Prompts = list[list[int]]


@dataclass(frozen=True)
class Begun:
    """What an engine was asked for."""

    prompts: Prompts
    sampling: Sampling
    owner: str


@dataclass(frozen=True)
class ScriptedGrammar:
    """A grammar that was compiled."""

    spec: GrammarSpec


class ScriptedEngine:
    """An Engine (functions/gpu/engine/protocol.py). A token of a prompt is a byte of it, and three a message.

    The prompts are computed just before the first word, and every choice says the whole script.
    """

    vocabulary_size = 256
    embedding_size: int | None = 4
    alive = True

    def __init__(
        self, *script: Step, context_length: int = 1_024, refusal: Exception | None = None, cached: int = 0
    ) -> None:
        self.script = script
        self.refusal = refusal  # what `generate` and `embed` raise at their first step
        self.tokenizing: Exception | None = None  # what `tokenize` and `encode` raise
        self.compiling: Exception | None = None  # what `compile` raises
        self.begun: list[Begun] = []
        self.tokenized = 0
        self.active = 0
        self.closed = False
        self._context_length = context_length
        self._cached = cached  # tokens of each prompt

    @property
    def context_length(self) -> int:
        return self._context_length

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        self.tokenized += 1
        if self.tokenizing is not None:
            raise self.tokenizing
        return [byte for message in messages for byte in (0, 0, 0, *message["content"].encode())]

    async def encode(self, text: str) -> list[int]:
        self.tokenized += 1
        if self.tokenizing is not None:
            raise self.tokenizing
        return list(text.encode())

    async def decode(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode("utf-8", "replace")

    async def compile(self, spec: GrammarSpec) -> Grammar:
        if self.compiling is not None:
            raise self.compiling
        return ScriptedGrammar(spec)

    async def generate(
        self, prompts: Sequence[Sequence[int]], sampling: Sampling, *, owner: str = ""
    ) -> AsyncGenerator[Event, None]:
        if self.refusal is not None:
            raise self.refusal
        self.begun.append(Begun([list(prompt) for prompt in prompts], sampling, owner))
        self.active += 1
        try:
            async for event in self._play(prompts, sampling):
                yield event
        finally:
            self.active -= 1

    async def embed(
        self, prompts: Sequence[Sequence[int]], *, dimensions: int | None = None, owner: str = ""
    ) -> list["array[float]"]:
        if self.refusal is not None:
            raise self.refusal
        self.begun.append(Begun([list(prompt) for prompt in prompts], Sampling(max_tokens=0), owner))
        self.active += 1
        try:
            for step in self.script:
                await _pass(step)
            return [vector_of(prompt)[:dimensions] for prompt in prompts]
        finally:
            self.active -= 1

    def figures(self) -> Figures:
        return FIGURES

    async def close(self) -> None:
        self.closed = True

    async def _play(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> AsyncGenerator[Event, None]:
        choices = range(len(prompts) * sampling.n)
        tokens = 0
        for step in self.script:
            if tokens == sampling.max_tokens:
                break
            await _pass(step)
            if not isinstance(step, str | tuple):
                continue
            if tokens == 0:
                for event in self._prefill(prompts, sampling):
                    yield event
            tokens += 1
            for index in choices:
                text = step if isinstance(step, str) else step[index]
                yield Delta(text, tokens, index, _logprobs(text.encode(), sampling.logprobs))
        if tokens == 0:
            for event in self._prefill(prompts, sampling):
                yield event
        full = tokens == sampling.max_tokens
        for index in choices:
            yield Finished(FinishReason.LENGTH if full else FinishReason.STOP, tokens + (not full), index)

    def _prefill(self, prompts: Sequence[Sequence[int]], sampling: Sampling) -> Iterator[Prefilled]:
        for place, prompt in enumerate(prompts):
            logprobs = [one for token in prompt for one in _logprobs(bytes([token]), sampling.prompt_logprobs)]
            if logprobs:
                logprobs[0] = TokenLogprobs(Candidate(prompt[0], bytes([prompt[0]]), None), ())
            yield Prefilled(place, len(prompt), min(self._cached, len(prompt)), tuple(logprobs))


async def _pass(step: Step) -> None:
    if isinstance(step, Exception):
        raise step
    if isinstance(step, asyncio.Event):
        await step.wait()


def _logprobs(raw: bytes, wanted: int | None) -> tuple[TokenLogprobs, ...]:
    """A token of a half's probability; next to it, others of ever less."""
    if wanted is None:
        return ()
    others = tuple(Candidate(number, b"%d" % number, -2.0 - number) for number in range(wanted - 1))
    token = Candidate(raw[0] if raw else 0, raw, -0.5)
    return (TokenLogprobs(token, (token, *others) if wanted else ()),)


def vector_of(prompt: Sequence[int]) -> "array[float]":
    """The embedding of a prompt: which of four axes it lies on is its length's business."""
    return array("f", [float(axis == len(prompt) % 4) for axis in range(4)])


FIGURES = Figures(
    waiting=2,
    running=3,
    pages=100,
    pages_used=40,
    pages_cached=25,
    page_tokens=16,
    tokens_per_s=12.5,
    requests_total=9,
    failed_total=1,
    refused_total=4,
    prompt_tokens_total=70,
    cached_tokens_total=30,
    completion_tokens_total=50,
    preemptions_total=2,
    steps_total=60,
    first_token=Histogram((0.1, 1.0), (3, 2, 1), 4.5),
    inter_token=Histogram((0.01, 0.1), (20, 5, 0), 0.75),
)
