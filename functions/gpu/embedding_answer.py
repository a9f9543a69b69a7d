"""Embeddings in OpenAI's shape: lists of numbers, or base64 of little-endian float32, which is a fifth as long."""

import base64
import struct
from array import array

import orjson

from functions.gpu.work import Embedded, Happening
from penstock.ledger import Lease, Usage
from penstock.schemas import Embedding, EmbeddingUsage

# The most that one number takes, in bytes: the edge relays no answer of any length.
WRITTEN, CODED = 25, 6


class EmbeddingAnswer:
    """The answer to the lease's request. It does not stream: nobody has a use for a part of an embedding.

    Each embedding is written when it is taken in: a request may have thousands, of thousands of numbers.
    """

    def __init__(self, lease: Lease, *, as_base64: bool) -> None:
        self._model = lease.model
        self._as_base64 = as_base64
        self._embeddings: list[orjson.Fragment] = []

    def add(self, event: Happening) -> None:
        if isinstance(event, Embedded):
            form = _base64(event.vector) if self._as_base64 else event.vector.tolist()
            written = Embedding(object="embedding", index=event.index, embedding=form).wire()
            self._embeddings.append(orjson.Fragment(written))

    def whole(self, usage: Usage) -> bytes:
        used = EmbeddingUsage(prompt_tokens=usage.prompt_tokens, total_tokens=usage.total_tokens).model_dump()
        return orjson.dumps({"object": "list", "data": self._embeddings, "model": self._model, "usage": used})


def _base64(vector: "array[float]") -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
