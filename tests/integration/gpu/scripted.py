"""An engine that plays a script: what it says, when it waits and where it fails is written in the test."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence

from functions.gpu.engine import Delta, Event, Finished, FinishReason, Sampling

Step = str | Exception | asyncio.Event
"""A token's text, a failure, or something to wait for."""


class ScriptedEngine:
    """An Engine (functions/gpu/engine/protocol.py). A token of a prompt is a byte of it, and three a message."""

    def __init__(self, *script: Step, context_length: int = 1_024, refusal: Exception | None = None) -> None:
        self.script = script
        self.refusal = refusal  # what `generate` raises at its first step
        self.tokenizing: Exception | None = None  # what `tokenize` raises
        self.begun: list[tuple[list[int], Sampling]] = []
        self.tokenized = 0
        self.active = 0
        self.closed = False
        self._context_length = context_length

    @property
    def context_length(self) -> int:
        return self._context_length

    async def tokenize(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        self.tokenized += 1
        if self.tokenizing is not None:
            raise self.tokenizing
        return [byte for message in messages for byte in (0, 0, 0, *message["content"].encode())]

    async def generate(self, prompt: Sequence[int], sampling: Sampling) -> AsyncGenerator[Event, None]:
        if self.refusal is not None:
            raise self.refusal
        self.begun.append((list(prompt), sampling))
        self.active += 1
        tokens = 0
        try:
            for step in self.script:
                if isinstance(step, Exception):
                    raise step
                if isinstance(step, asyncio.Event):
                    await step.wait()
                else:
                    tokens += 1
                    yield Delta(step, tokens)
                if tokens == sampling.max_tokens:
                    yield Finished(FinishReason.LENGTH, tokens)
                    return
            yield Finished(FinishReason.STOP, tokens + 1)
        finally:
            self.active -= 1

    async def close(self) -> None:
        self.closed = True
