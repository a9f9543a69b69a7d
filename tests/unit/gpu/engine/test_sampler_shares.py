"""Tokens come as often as they should: Pearson's chi-square test against exact probabilities, with fixed seeds."""

import math
from random import Random
from statistics import NormalDist
from typing import Any

import pytest
import torch

from tests.unit.gpu.engine.reference_sampling import bitmask, pick, probabilities, row

SIZE = 33
DRAWS = 6000
LOGITS = torch.randn(SIZE, generator=torch.Generator().manual_seed(5)) * 1.5


def critical(degrees: int, chance: float = 1e-3) -> float:
    """What chi-square exceeds with this chance, by Wilson and Hilferty's approximation (1931)."""
    spread = 2 / (9 * degrees)
    return float(degrees * (1 - spread + NormalDist().inv_cdf(1 - chance) * math.sqrt(spread)) ** 3)


def statistic(counts: list[int], shares: list[float]) -> tuple[float, int]:
    """Chi-square and its degrees of freedom; tokens that are expected fewer than five times are one class."""
    classes: list[tuple[int, float]] = []
    rare_count, rare_expected = 0, 0.0
    for count, share in zip(counts, shares, strict=True):
        if share * DRAWS >= 5:
            classes.append((count, share * DRAWS))
        else:
            rare_count, rare_expected = rare_count + count, rare_expected + share * DRAWS
    if rare_expected >= 5:
        classes.append((rare_count, rare_expected))
    return sum((count - expected) ** 2 / expected for count, expected in classes), len(classes) - 1


OPTIONS: list[dict[str, Any]] = [
    {},
    {"temperature": 0.5},
    {"temperature": 1.7},
    {"top_k": 7},
    {"top_p": 0.8},
    {"min_p": 0.1},
    {"temperature": 0.8, "top_k": 20, "top_p": 0.9, "min_p": 0.02},
    {
        "prompt": [3, 4],
        "output": [5, 5, 6],
        "presence_penalty": 1.0,
        "frequency_penalty": 0.5,
        "repetition_penalty": 1.4,
    },
    {"logit_bias": {1: 2.0, 2: -3.0}, "mask": bitmask([token % 3 > 0 for token in range(SIZE)]), "top_p": 0.95},
]


@pytest.mark.parametrize("options", OPTIONS, ids=lambda options: " ".join(options) or "none")
@pytest.mark.parametrize("together", [1, 100])
def test_shares(options: dict[str, Any], together: int) -> None:
    shares = probabilities(LOGITS, row(**options)).tolist()
    counts = [0] * SIZE
    generators = [Random(seed) for seed in range(together)]
    draws = DRAWS if together > 1 else DRAWS // 10
    for _ in range(draws // together):
        for found in pick(LOGITS, *(row(**options, random=generator) for generator in generators)):
            counts[found.token] += 1
    assert all(share > 0 for count, share in zip(counts, shares, strict=True) if count)
    chi_square, degrees = statistic(counts, [share * draws / DRAWS for share in shares])
    assert chi_square < critical(degrees)


def test_the_test_sees_shares_that_are_slightly_wrong() -> None:
    shares = probabilities(LOGITS, row()).tolist()
    counts = [0] * SIZE
    for seed in range(DRAWS // 100):
        for found in pick(LOGITS, *(row(temperature=1.1, random=Random(100 * seed + i)) for i in range(100))):
            counts[found.token] += 1
    chi_square, degrees = statistic(counts, shares)
    assert chi_square > critical(degrees)
