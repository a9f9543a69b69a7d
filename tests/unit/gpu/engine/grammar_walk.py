"""A model without sense that writes answers under a grammar: random tokens, of those that may come.

It leans to tokens that close something, so that its answers end.
"""

import random
from typing import Any

import torch

from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.grammar import CompiledGrammar, Grammars
from functions.gpu.engine.matcher import Matcher
from functions.gpu.engine.protocol import GrammarKind, GrammarSpec

LONGEST = 600  # tokens of an answer
CLOSING = (b'"', b"}", b"]")


class Writer:
    """Writes answers with one tokenizer. `end_ids` are the first and the last of its special tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.text = TokenText(tokenizer.backend_tokenizer)
        self.size = len(tokenizer) + 7  # logits that no token belongs to
        self.end_ids = frozenset({min(tokenizer.all_special_ids), max(tokenizer.all_special_ids)})
        self.special_ids = frozenset(tokenizer.all_special_ids)
        self.grammars = Grammars(tokenizer, self.size, self.end_ids)
        self._closing = torch.tensor([self.text.bytes_of(token).startswith(CLOSING) for token in range(self.size)])

    def compile(self, kind: GrammarKind, text: str = "") -> CompiledGrammar:
        return self.grammars.compile(GrammarSpec(kind, text))

    def allowed(self, matcher: Matcher) -> set[int]:
        """The tokens that may come next; never none, never a special one that ends nothing."""
        tokens = set(bits(matcher.mask(), self.size).nonzero().flatten().tolist())
        assert tokens
        assert not tokens & (self.special_ids - self.end_ids)
        assert tokens & self.end_ids in (self.end_ids, set())
        return tokens

    def write(self, grammar: CompiledGrammar, seed: int) -> str:
        """An answer to its end."""
        dice, matcher, written = random.Random(seed), grammar.matcher(), b""
        for _ in range(LONGEST):
            tokens = self.allowed(matcher)
            assert not matcher.done or tokens == self.end_ids
            token = self._pick(tokens, dice)
            if token in self.end_ids:
                return written.decode()
            matcher.advance(token)
            written += self.text.bytes_of(token)
        raise AssertionError(f"no end after {LONGEST} tokens: {written!r}")

    def _pick(self, tokens: set[int], dice: random.Random) -> int:
        ends = tokens & self.end_ids
        if ends and (ends == tokens or dice.random() < 0.3):
            return dice.choice(sorted(ends))
        others = sorted(tokens - ends)
        closing = [token for token in others if self._closing[token]]
        return dice.choice(closing if closing and dice.random() < 0.4 else others)


def bits(mask: Any, size: int) -> Any:
    """A mask as one truth value a token."""
    assert mask.dtype == torch.int32
    assert mask.shape == (-(-size // 32),)
    return ((mask.unsqueeze(1) >> torch.arange(32)) & 1).flatten()[:size].bool()
