"""Logits to one token, for one request.

Promises that a seeded request gives the same answer whatever else runs: it draws one number a token, from a
generator of its own on the CPU, wherever the model is. (Logits themselves are reproducible in float32 on the
CPU, and nearly so elsewhere.) Nucleus sampling is exact: the smallest set of the likeliest tokens whose
probability reaches `top_p`, never empty, so `top_p` 0 is greedy.
"""

import math

import torch

from functions.gpu.engine.protocol import EngineError, Sampling

COLDEST = 1e-5  # below this the division by the temperature leaves float32, and the choice is greedy anyway
LIKELY = 256  # tokens looked at before a whole vocabulary is sorted; nearly every nucleus is smaller


class Sampler:
    """Draws the tokens of one request."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed % 2**64)

    @torch.inference_mode()
    def pick(self, logits: torch.Tensor) -> int:
        """One token id from the logits of one position, of shape [vocabulary]. Raises EngineError on NaN."""
        logits = logits.float()
        best, token = logits.max(dim=-1)  # NaN wins every comparison, so this sees it
        if not math.isfinite(best.item()):
            raise EngineError("the model gave logits that are not numbers")
        if self._temperature < COLDEST:
            return int(token)
        return self._draw(torch.softmax((logits - best) / self._temperature, dim=-1))

    def _draw(self, probabilities: torch.Tensor) -> int:
        if self._top_p >= 1:
            return self._invert(probabilities.double().cumsum(0))
        tokens, mass = _nucleus(probabilities, self._top_p)
        return int(tokens[self._invert(mass)])

    def _invert(self, mass: torch.Tensor) -> int:
        """The index whose share of the cumulative `mass` a uniform number falls into."""
        uniform = torch.rand((), generator=self._random, dtype=torch.float64)
        return int(torch.searchsorted(mass, uniform.to(mass.device) * mass[-1], right=True))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The likeliest tokens that reach `top_p`, and their cumulative probability, likeliest first."""
    values, tokens = probabilities.topk(min(LIKELY, len(probabilities)))
    mass = values.double().cumsum(0)
    if mass[-1] < top_p and len(values) < len(probabilities):
        values, tokens = probabilities.sort(descending=True)
        mass = values.double().cumsum(0)
    size = min(int(torch.searchsorted(mass, top_p)) + 1, len(mass))
    return tokens[:size], mass[:size]
