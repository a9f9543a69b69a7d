"""The model's own probabilities of tokens: the log-softmax of its logits, before anything changed them.

Promises numbers that depend on a row's logits alone, and bounded memory: a long prompt is taken in blocks. Of
equally likely tokens the lower id comes first; tokens that cannot come (a probability of 0) are no alternatives.
"""

from collections.abc import Sequence
from typing import Any

import torch

from functions.gpu.engine.candidates import likeliest
from functions.gpu.engine.protocol import MOST_LOGPROBS, EngineError

BLOCK = 1 << 22  # logits taken at once

Scored = tuple[float, tuple[tuple[int, float], ...]]  # a token's log-probability; alternatives, likeliest first


def score(logits: Any, tokens: Sequence[int], wanted: int | Sequence[int]) -> list[Scored]:
    """The log-probability of each token under its row of `logits` [T, V], and `wanted` alternatives to it.

    `wanted` is one number for all, or one for each. A token that cannot come has minus infinity. Raises
    EngineError for logits that are no numbers, and for a token outside the vocabulary.
    """
    if any(not 0 <= token < logits.shape[1] for token in tokens):
        raise EngineError("a token to be scored is outside the vocabulary")
    counts = [wanted] * len(tokens) if isinstance(wanted, int) else wanted
    ids = torch.tensor(tokens, dtype=torch.long).to(logits.device, non_blocking=True)
    rows = max(1, BLOCK // logits.shape[1])
    numbers: list[list[float]] = []
    for start in range(0, len(tokens), rows):
        part = slice(start, start + rows)
        numbers += measure(logits[part], ids[part], alternatives=any(counts)).tolist()
    if any(row[0] != row[0] for row in numbers):
        raise EngineError("the model gave logits that are not numbers")
    return [read(row, count) for row, count in zip(numbers, counts, strict=True)]


def measure(logits: Any, tokens: Any, *, alternatives: bool) -> Any:
    """What `read` takes of each row of `logits` [T, V], as float64 [T, 1 + 2 * alternatives] on its device.

    Always as many alternatives as anyone may ask for (or none), so that no row's depend on another's wish.
    """
    logprobs = torch.log_softmax(logits if logits.dtype == torch.float64 else logits.float(), dim=-1)
    parts = [logprobs.gather(1, tokens[:, None])]
    if alternatives:
        parts += likeliest(logprobs, min(MOST_LOGPROBS, logits.shape[1]))
    return torch.cat([part.double() for part in parts], dim=1)


def read(numbers: Sequence[float], wanted: int) -> Scored:
    """One row of `measure`, with so many of its alternatives."""
    count = len(numbers) // 2
    found = zip(numbers[1 + count :], numbers[1 : 1 + count], strict=True)
    return numbers[0], tuple((int(token), value) for token, value in list(found)[:wanted] if value > -torch.inf)
