"""Embeddings in OpenAI's shape: lists of numbers, or base64 of little-endian float32, which is a third as long."""

import base64
import struct
from array import array

from functions.gpu.work import Embedded, Happening
from penstock.ledger import Lease, Usage
from penstock.schemas import Embedding, EmbeddingList, EmbeddingUsage


class EmbeddingAnswer:
    """The answer to the lease's request. It does not stream: nobody has a use for a part of an embedding."""

    def __init__(self, lease: Lease, *, as_base64: bool) -> None:
        self._model = lease.model
        self._as_base64 = as_base64
        self._embeddings: list[Embedding] = []

    def add(self, event: Happening) -> None:
        if isinstance(event, Embedded):
            written = _base64(event.vector) if self._as_base64 else event.vector.tolist()
            self._embeddings.append(Embedding(object="embedding", index=event.index, embedding=written))

    def whole(self, usage: Usage) -> bytes:
        used = EmbeddingUsage(prompt_tokens=usage.prompt_tokens, total_tokens=usage.total_tokens)
        return EmbeddingList(object="list", data=self._embeddings, model=self._model, usage=used).wire()


def _base64(vector: "array[float]") -> str:
    return base64.b64encode(struct.pack(f"<{len(vector)}f", *vector)).decode()
