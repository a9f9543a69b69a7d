"""Hidden states to one embedding of a text: pooled over its tokens, shortened where asked, of length 1."""

from array import array
from typing import Any

import torch

from functions.gpu.engine.options import Pooling
from functions.gpu.engine.sequence import Sequence


class Embedding:
    """One model's way to embed."""

    def __init__(self, pooling: Pooling) -> None:
        self._pooling = pooling

    def add(self, sequence: Sequence, hidden: Any) -> None:
        """Take in the hidden states of a text's next tokens, [tokens, hidden size]. A text begins anew at its first."""
        if self._pooling is Pooling.LAST:
            sequence.hidden = hidden[-1].float()
        else:
            added = hidden.float().sum(0)
            first = sequence.computed == hidden.shape[0]  # they are computed already, and so among its own
            sequence.hidden = added if first else sequence.hidden + added

    def vector(self, sequence: Sequence, dimensions: int | None) -> "array[float] | None":
        """The embedding, float32 [dimensions]; None where it is not finite. The length of a mean does not matter."""
        pooled = sequence.hidden[:dimensions]
        norm = torch.linalg.vector_norm(pooled)
        if not torch.isfinite(norm) or not norm:
            return None
        return array("f", (pooled / norm).tolist())
