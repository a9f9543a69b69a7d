"""What an engine's events come to: the answers of one request, choice by choice."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass

import anyio

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.protocol import Delta, Event, Finished, FinishReason, Prefilled, Sampling, TokenLogprobs

DEADLINE = 60  # seconds, for what takes milliseconds


@dataclass(frozen=True)
class Answer:
    """One choice, from its events. `ids` are known where logprobs were asked for; an end token is not among them."""

    text: str
    reason: FinishReason
    completion_tokens: int
    logprobs: tuple[TokenLogprobs, ...]

    @property
    def ids(self) -> list[int]:
        return [one.token.id for one in self.logprobs]

    @property
    def said(self) -> tuple[str, FinishReason, int, list[int]]:
        """All but the logprobs' numbers, whose last bits depend on the batch."""
        return self.text, self.reason, self.completion_tokens, self.ids


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    """All events of a request."""
    with anyio.fail_after(DEADLINE):
        return [event async for event in events]


def begin(events: AsyncGenerator[Event, None]) -> asyncio.Task[list[Event]]:
    """Collect beside whatever else happens."""
    return asyncio.create_task(collect(events))


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread does."""
    with anyio.fail_after(DEADLINE):
        while not condition():
            await anyio.sleep(0.001)


async def ask(
    engine: ContinuousEngine, prompts: Sequence[Sequence[int]], sampling: Sampling, *, owner: str = ""
) -> list[Answer]:
    """The answers of one request, by index."""
    return answers(await collect(engine.generate(prompts, sampling, owner=owner)))


async def ask_one(engine: ContinuousEngine, prompt: Sequence[int], sampling: Sampling, *, owner: str = "") -> Answer:
    """The answer of a request with one prompt and one choice."""
    (answer,) = await ask(engine, [prompt], sampling, owner=owner)
    return answer


def answers(events: Sequence[Event]) -> list[Answer]:
    """The answers that these events tell, by index."""
    ends = sorted((event for event in events if isinstance(event, Finished)), key=lambda end: end.index)
    assert [end.index for end in ends] == list(range(len(ends)))
    return [_answer(end, [event for event in events if isinstance(event, Delta) and event.index == end.index])
            for end in ends]


def prefilled(events: Sequence[Event]) -> list[Prefilled]:
    """What is said of the prompts, in their order."""
    return sorted((event for event in events if isinstance(event, Prefilled)), key=lambda event: event.prompt)


def _answer(end: Finished, deltas: list[Delta]) -> Answer:
    counts = [delta.completion_tokens for delta in deltas]
    assert counts == sorted(counts)
    return Answer(
        "".join(delta.text for delta in deltas),
        end.reason,
        end.completion_tokens,
        tuple(one for delta in deltas for one in delta.logprobs),
    )
