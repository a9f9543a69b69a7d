"""What an engine said to a request, collected: choices by index, and prompts."""

from collections import defaultdict
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

import anyio

from functions.gpu.engine.protocol import Delta, Event, Finished, FinishReason, Prefilled

DEADLINE = 120  # seconds; it only ends a test that hangs


@dataclass(slots=True)
class Choice:
    """One choice. Its tokens are known where probabilities were asked for."""

    text: str = ""
    tokens: list[int] = field(default_factory=list)
    reason: FinishReason | None = None
    count: int = 0


@dataclass(slots=True)
class Transcript:
    """All choices of a request, by index, and what was said of its prompts."""

    choices: dict[int, Choice] = field(default_factory=lambda: defaultdict(Choice))
    prompts: list[Prefilled] = field(default_factory=list)

    @property
    def tokens(self) -> list[int]:
        """Of the only choice."""
        (choice,) = self.choices.values()
        return choice.tokens


async def collect(events: AsyncGenerator[Event, None]) -> Transcript:
    """Everything, to the end. Raises what the generation failed of."""
    answer = Transcript()
    with anyio.fail_after(DEADLINE):
        async for event in events:
            if isinstance(event, Prefilled):
                answer.prompts.append(event)
                continue
            choice = answer.choices[event.index]
            choice.count = event.completion_tokens
            if isinstance(event, Delta):
                choice.text += event.text
                choice.tokens += [scored.token.id for scored in event.logprobs]
            if isinstance(event, Finished):
                choice.reason = event.reason
    return answer
