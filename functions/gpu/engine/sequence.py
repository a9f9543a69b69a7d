"""One choice on its way: its tokens, its pages, and how much of it is computed.

Owned by the engine's thread. A choice that lost its pages (preemption) keeps its tokens and its random
numbers, and is computed again from its tokens.
"""

import random
import time
from dataclasses import dataclass, field
from typing import Any

from functions.gpu.engine.protocol import Sampling


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt and the choice that grows behind it. `mask` is the grammar's, for the next token."""

    prompt: list[int]
    sampling: Sampling
    index: int = 0  # of the choice in its request
    owner: str = ""
    salt: bytes = b""  # of its prefix cache
    order: tuple[int, int] = (0, 0)  # of arrival: the request's number, the choice's index
    output: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    computed: int = 0  # tokens whose keys and values are in the pages
    random: random.Random = field(default_factory=random.Random)
    barred: frozenset[int] = frozenset()  # tokens that may not come next
    mask: Any = None  # int32 [ceil(vocabulary / 32)], a bit a token; None: every token may come
    submitted_at: float = field(default_factory=time.monotonic)

    def __len__(self) -> int:
        """Tokens so far."""
        return len(self.prompt) + len(self.output)

    def tokens(self, start: int, end: int) -> list[int]:
        """The tokens of these positions."""
        split = len(self.prompt)
        if end <= split:
            return self.prompt[start:end]
        if start >= split:
            return self.output[start - split : end - split]
        return self.prompt[start:] + self.output[: end - split]
