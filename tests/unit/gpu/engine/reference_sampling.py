"""What the sampler promises, by transformers' own processors and plain loops, in float64 and one row at a time."""

import math
from collections import Counter
from random import Random
from typing import Any

import torch
from transformers.generation.logits_process import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.sampler import Picked, Sampler
from functions.gpu.engine.sequence import Sequence


class Fixed(Random):
    """Gives one uniform number, and counts how often it was asked for."""

    def __init__(self, uniform: float = 0.5) -> None:
        super().__init__()
        self.number = uniform
        self.asked = 0

    def random(self) -> float:
        self.asked += 1
        return self.number


def row(
    prompt: list[int] | None = None,
    output: list[int] | None = None,
    *,
    random: Random | None = None,
    end_ids: frozenset[int] = frozenset(),
    mask: Any = None,
    **options: Any,
) -> Sequence:
    """A sequence with these options."""
    sampling = Sampling(**{"max_tokens": 1000, **options})
    return Sequence(
        list(prompt or []),
        sampling,
        output=list(output or []),
        random=random or Random(7),
        end_ids=end_ids,
        mask=mask,
    )


def pick(logits: Any, *rows: Sequence) -> list[Picked]:
    """What a sampler of its own picks for rows none of which fails; one row of logits [V] serves all."""
    table = logits.expand(len(rows), -1)
    outcomes = Sampler(table.shape[1], "cpu").pick(table, rows)
    assert all(isinstance(outcome, Picked) for outcome in outcomes), outcomes
    return [outcome for outcome in outcomes if isinstance(outcome, Picked)]


def bitmask(allowed: list[bool]) -> Any:
    """llguidance's words for these tokens."""
    words = [0] * math.ceil(len(allowed) / 32)
    for token, may in enumerate(allowed):
        words[token // 32] |= may << (token % 32)
    return torch.tensor([word - (1 << 32) if word >> 31 else word for word in words], dtype=torch.int32)


def scores(logits: Any, row: Sequence) -> Any:
    """The logits [V] as the row's options change them, before the temperature."""
    sampling, values = row.sampling, logits.double()[None]
    if sampling.repetition_penalty != 1 and row.prompt + row.output:
        processor = RepetitionPenaltyLogitsProcessor(penalty=sampling.repetition_penalty)
        values = processor(torch.tensor([row.prompt + row.output]), values)
    values = values[0].clone()
    for token, count in Counter(row.output).items():
        values[token] -= count * sampling.frequency_penalty + sampling.presence_penalty
    for token, bias in sampling.logit_bias.items():
        values[token] += bias
    for token in range(len(values)):
        forbidden = row.mask is not None and not int(row.mask[token // 32]) >> (token % 32) & 1
        if forbidden or token in row.barred:
            values[token] = -math.inf
    return values


def probabilities(logits: Any, row: Sequence) -> Any:
    """The distribution [V] that the row's next token is drawn from."""
    sampling, values = row.sampling, scores(logits, row)[None]
    ids: Any = None
    values = TemperatureLogitsWarper(sampling.temperature)(ids, values)
    if sampling.top_k:
        values = TopKLogitsWarper(sampling.top_k)(ids, values)
    if sampling.top_p < 1:
        values = TopPLogitsWarper(sampling.top_p)(ids, values)
    if sampling.min_p:
        values = MinPLogitsWarper(sampling.min_p)(ids, values)
    return torch.softmax(values[0], dim=-1)
