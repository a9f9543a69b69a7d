"""One choice on its way: its tokens, its pages, and how much of it is computed.

Owned by the engine's thread. A choice that lost its pages (preemption) keeps its tokens and its random
numbers, and is computed again from its tokens.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any

from functions.gpu.engine.protocol import Sampling, TokenLogprobs


@dataclass(slots=True, eq=False)
class Sequence:
    """A prompt, and the choice that grows behind it."""

    prompt: list[int]
    sampling: Sampling
    prompt_index: int = 0  # the prompt's place in its request
    index: int = 0  # the choice's
    owner: str = ""
    salt: bytes = b""  # of its keys in the prefix cache
    cacheable: bool = False  # whether its prefix may be found, and its pages may
    order: tuple[int, int] = (0, 0)  # of arrival: the request's number, the choice's index
    random: Random = field(default_factory=Random)
    end_ids: frozenset[int] = frozenset()  # tokens that end it
    # What grows.
    output: list[int] = field(default_factory=list)
    pages: list[int] = field(default_factory=list)
    keys: list[bytes] = field(default_factory=list)  # of its full pages
    computed: int = 0  # tokens whose keys and values are in the pages
    cached_tokens: int = 0  # of the prompt, found in the prefix cache at the first try
    begun: bool = False
    prefilled: bool = False  # whether its prompt was computed once
    siblings: list["Sequence"] = field(default_factory=list)  # that begin where its prompt ends
    embeds: bool = False  # asks for the prompt's embedding, and for no choice
    hidden: Any = None  # what of its hidden states is pooled so far
    prompt_logprobs: list[TokenLogprobs] = field(default_factory=list)
    drawn: float | None = None  # the random number of the next token, while that is picked
    mask: Any = None  # the grammar's, for the next token: int32 [ceil(vocabulary / 32)]; None: all may come
    # What belongs to it elsewhere: the request, its text, its grammar's state.
    generation: Any = None
    text: Any = None
    matcher: Any = None
    last_token_at: float = 0.0

    def __len__(self) -> int:
        """Tokens so far."""
        return len(self.prompt) + len(self.output)

    @property
    def decoding(self) -> bool:
        """Whether only its last token is left to be computed, and that one is an answer's."""
        return bool(self.output) and len(self) - self.computed == 1

    @property
    def barred(self) -> frozenset[int]:
        """Tokens that may not come next: the ends of an answer that must go on."""
        # A grammar says itself where an answer may end, and there it may have to.
        if len(self.output) >= self.sampling.min_tokens or self.matcher is not None:
            return frozenset()
        return self.end_ids | self.sampling.stop_token_ids

    def tokens(self, start: int, end: int) -> list[int]:
        """The tokens of these positions."""
        split = len(self.prompt)
        if end <= split:
            return self.prompt[start:end]
        if start >= split:
            return self.output[start - split : end - split]
        return self.prompt[start:] + self.output[: end - split]
