"""One token of each row, by inversion of its cumulative distribution.

Promises that a row's token depends on its own scores and its own uniform number alone: every reduction here goes
along one row in an order that other rows do not change, and the candidates lie in one order (likeliest first, of
equals the lower id), however many of them were looked at. That holds to the last bit on the CPU. (A plain `sum`
or `logsumexp` does not promise it: it splits a lone row among the threads.) Rows whose scores are no numbers give
some token of the vocabulary: it is the caller's to find them.

Shapes: scores [R, V], best [R] (their maxima), wishes [R, 5] in float64 (see Wish), tokens [R].
"""

from typing import Any, NamedTuple

import torch
from torch.nn import functional

from functions.gpu.engine.protocol import Sampling

BLOCK = 512  # tokens whose mass is summed before it is looked into


class Wish(NamedTuple):
    """What one row asks of its draw; a row of the tensor that the device gets."""

    uniform: float  # in [0, 1)
    temperature: float
    top_k: float  # infinite: all
    top_p: float  # infinite: all, whatever the rounding of their sum
    min_p: float

    @classmethod
    def of(cls, sampling: Sampling, uniform: float) -> "Wish":
        """The numbers of one token's draw."""
        top_k = sampling.top_k or torch.inf
        top_p = sampling.top_p if sampling.top_p < 1 else torch.inf
        return cls(uniform, sampling.temperature, top_k, top_p, sampling.min_p)


def likeliest(scores: Any, count: int) -> tuple[Any, Any]:
    """The largest scores of each row and their ids, [R, count] each, largest first and of equals the lower id.

    Where equals lie on both sides of the last place, which of them are in is torch's choice.
    """
    if count < scores.shape[-1]:
        ids = scores.topk(count, sorted=False).indices.sort().values
        scores = scores.gather(-1, ids)
    else:
        ids = torch.arange(count, device=scores.device).expand(scores.shape)
    values, places = scores.sort(descending=True, stable=True)
    return values, ids.gather(-1, places)


def draw_among_all(scores: Any, best: Any, wishes: Any) -> Any:
    """A token of each row, any of the vocabulary: the block that holds the uniform's share, then the token in it."""
    shares = _shares(scores, best, wishes)
    blocks = functional.pad(shares, (0, -shares.shape[1] % BLOCK)).unflatten(1, (-1, BLOCK))
    weights = blocks.sum(-1, dtype=torch.float64)
    mass = weights.cumsum(-1)
    target = wishes[:, :1] * mass[:, -1:]
    block = _first_above(mass, target)
    rest = target - (mass - weights).gather(1, block)
    inside = blocks[torch.arange(len(blocks), device=blocks.device), block[:, 0]].cumsum(-1, dtype=torch.float64)
    last = (inside < inside[:, -1:]).sum(1, keepdim=True)  # that has mass: the two sums of a block differ by roundings
    place = torch.minimum(_first_above(inside, rest.clamp(min=0)), last)
    return (block * BLOCK + place)[:, 0].clamp(max=scores.shape[1] - 1)


def draw_among_likeliest(scores: Any, best: Any, wishes: Any, look: int) -> tuple[Any, Any]:
    """A token of each row that top_k, top_p and min_p leave, and whether the `look` likeliest decide it (bool [R]).

    They decide unless the last of them is still in, or equal to one that is: then look further.
    """
    look = min(look, scores.shape[1])
    values, ids = likeliest(scores, look)
    weights = _shares(scores, best, wishes).gather(1, ids).double()
    mass = weights.cumsum(-1)
    sizes = _sizes(weights, mass, wishes)
    target = wishes[:, :1] * mass.gather(1, sizes - 1)
    tokens = ids.gather(1, _first_above(mass, target))[:, 0]
    if look == scores.shape[1]:
        return tokens, torch.ones_like(tokens, dtype=torch.bool)
    beyond = torch.isfinite(wishes[:, 2]) & (wishes[:, 2] > look)
    return tokens, (values.gather(1, sizes - 1) > values[:, -1:])[:, 0] & ~beyond


def _shares(scores: Any, best: Any, wishes: Any) -> Any:
    """Probabilities under the temperature, [R, V]."""
    return torch.softmax((scores - best[:, None]) / wishes[:, 1:2].to(scores.dtype), dim=-1)


def _sizes(weights: Any, mass: Any, wishes: Any) -> Any:
    """How many of the candidates stay, [R, 1]: at least one, at most all of them that have any weight.

    top_p is a share of what top_k left (of 1 where it left all), and the smallest set that reaches it stays;
    min_p is a share of the likeliest.
    """
    top_k = wishes[:, 2:3].clamp(max=weights.shape[1]).long()
    left = mass.gather(1, top_k - 1).where(torch.isfinite(wishes[:, 2:3]), 1.0)
    reaching = (mass < wishes[:, 3:4] * left).sum(-1, keepdim=True) + 1
    likely = ((weights > 0) & (weights >= wishes[:, 4:5] * weights[:, :1])).sum(-1, keepdim=True)
    return torch.minimum(torch.minimum(top_k, reaching), likely).clamp(min=1)


def _first_above(mass: Any, target: Any) -> Any:
    """The first place of each row whose cumulative mass is over the target, so that it has mass; [R, 1]."""
    return torch.searchsorted(mass, target, right=True).clamp(max=mass.shape[1] - 1)
