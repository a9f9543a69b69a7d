"""Lengths like those of ShareGPT's conversations, which the data set itself is not needed for.

Means: 161 tokens of a prompt and 338 of an answer, as figure 11 of the paper on PagedAttention gives them
(Kwon et al., SOSP 2023). The shape is a lognormal one with a sigma of 1, which is ours: skewed with a long
tail, as the figure shows. Cut at a longest length, as the usual benchmarks do, which lowers the means a little.
"""

import math
import random
from collections.abc import Sequence

from benchmarks.engine.workload import Request, random_prompt

MEAN_PROMPT, MEAN_NEW = 161.31, 337.99  # tokens
_SIGMA = 1.0
_SHORTEST = 4


def sharegpt_like(number: int, words: Sequence[int], longest: int) -> list[Request]:
    """So many requests; the same on every call."""
    source = random.Random(3)
    return [
        Request(random_prompt(source, words, _length(source, MEAN_PROMPT, longest)), _length(source, MEAN_NEW, longest))
        for _ in range(number)
    ]


def _length(source: random.Random, mean: float, longest: int) -> int:
    """A lognormal variable's mean is exp(mu + sigma^2 / 2)."""
    length = source.lognormvariate(math.log(mean) - _SIGMA**2 / 2, _SIGMA)
    return min(max(round(length), _SHORTEST), longest)
