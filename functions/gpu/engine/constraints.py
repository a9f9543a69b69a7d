"""What a caller, an unfinished answer or a grammar says of the next token: added to its score, or not at all.

A grammar's bitmask is int32 words, [ceil(V / 32)]: bit t % 32 of word t // 32 is set where token t may come
(llguidance's layout). It may lie on the host while the scores do not.
"""

from collections.abc import Sequence as Rows
from math import inf
from typing import Any

import torch

from functions.gpu.engine.protocol import EngineError
from functions.gpu.engine.sequence import Sequence


def check(row: Sequence, vocabulary_size: int) -> None:
    """Raises EngineError where a row speaks of tokens outside the vocabulary, or its mask has another shape."""
    for name, ids in (("logit_bias", row.sampling.logit_bias), ("stop_token_ids", row.sampling.stop_token_ids)):
        if ids and not (min(ids) >= 0 and max(ids) < vocabulary_size):
            raise EngineError(f"{name} has a token outside the vocabulary of {vocabulary_size}")
    words = -(-vocabulary_size // 32)
    if row.mask is not None and (row.mask.dtype != torch.int32 or row.mask.shape != (words,)):
        raise EngineError(f"a grammar's mask is not {words} words of 32 bits")


def constrained(row: Sequence) -> bool:
    """Whether anything is said of this row's next token."""
    return bool(row.sampling.logit_bias or row.barred or row.mask is not None)


def constrain(scores: Any, rows: Rows[Sequence]) -> None:
    """Add every bias to the scores [R, V], and minus infinity to what may not come, in place; rows were checked."""
    _add(scores, rows)
    masked = [place for place, row in enumerate(rows) if row.mask is not None]
    if not masked:
        return
    words = torch.stack([rows[place].mask for place in masked]).to(scores.device, non_blocking=True)
    index = torch.tensor(masked).to(scores.device, non_blocking=True)
    scores[index] = scores[index].masked_fill(~_bits(words)[:, : scores.shape[1]], -inf)


def _add(scores: Any, rows: Rows[Sequence]) -> None:
    added: list[tuple[int, int, float]] = []  # a token of a row comes once, so that no order of sums matters
    for place, row in enumerate(rows):
        barred = {token: -inf for token in row.barred if 0 <= token < scores.shape[1]}
        added += ((place, token, number) for token, number in {**row.sampling.logit_bias, **barred}.items())
    if not added:
        return
    places, tokens, numbers = torch.tensor(added, dtype=torch.float64).to(scores.device, non_blocking=True).unbind(1)
    where = (places.long(), tokens.long())
    scores[where] = scores[where] + numbers.to(scores.dtype)


def _bits(words: Any) -> Any:
    """The bits of int32 words [M, W] as bools [M, 32 * W], the lowest first: by bytes, which are little-endian."""
    weights = (1 << torch.arange(8, device=words.device)).to(torch.uint8)
    return ((words.view(torch.uint8)[:, :, None] & weights) != 0).flatten(1)
