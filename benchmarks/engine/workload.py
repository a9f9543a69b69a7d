"""What is asked: prompts of random tokens, and how many new ones each request wants. The same on every call."""

import random
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Request:
    """A prompt's token ids, and how many tokens are to follow: exactly so many, from every contender."""

    prompt: list[int]
    new: int


def random_prompt(source: random.Random, tokens: Sequence[int], length: int) -> list[int]:
    """A prompt of so many tokens, each one of `tokens`."""
    return source.choices(tokens, k=length)


def workload(number: int, tokens: Sequence[int], prompt: tuple[int, int], new: tuple[int, int]) -> list[Request]:
    """So many requests, with lengths evenly spread from the first to the second of each pair."""
    source = random.Random(1)
    return [
        Request(random_prompt(source, tokens, source.randint(*prompt)), source.randint(*new)) for _ in range(number)
    ]
