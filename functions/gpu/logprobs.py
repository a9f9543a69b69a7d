"""Probabilities of tokens in OpenAI's two shapes: the chat's, a list of objects, and the completion's, four lists.

A token is told by its bytes, and beside them as text, in which half a character is U+FFFD.
"""

import codecs
from collections.abc import Sequence

from functions.gpu.engine import Candidate, TokenLogprobs
from penstock.schemas import ChoiceLogprobs, CompletionLogprobs, TokenLogprob, TopLogprob

UNLIKELY = -9_999.0  # OpenAI's word for what is next to impossible; JSON has no infinity


class Offsets:
    """Where each token of a text begins, in characters, as its tokens come.

    A token inside a character begins where that character does. Nothing begins before 0: what stands at a
    negative place is a token that its tokenizer put in front of the text, and that is not part of it.
    """

    def __init__(self, begin: int = 0) -> None:
        self._at = begin
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def next(self, raw: bytes) -> int:
        """Where the next token begins."""
        begin = self._at
        self._at += len(self._utf8.decode(raw))
        return max(begin, 0)


def offsets_in(text: str, logprobs: Sequence[TokenLogprobs]) -> Offsets:
    """The offsets of tokens that end where the text does."""
    tokens = b"".join(one.token.raw for one in logprobs)
    return Offsets(len(text) - len(_text(tokens)))


def chat_logprobs(logprobs: Sequence[TokenLogprobs]) -> ChoiceLogprobs:
    """As a chat completion has them."""
    return ChoiceLogprobs(content=[_token(one) for one in logprobs], refusal=None)


def completion_logprobs(logprobs: Sequence[TokenLogprobs], offsets: Offsets) -> CompletionLogprobs:
    """As a completion has them. Beside the likeliest tokens stands the one that came, where it is not among them."""
    alternatives = [_alternatives(one) for one in logprobs]
    return CompletionLogprobs(
        tokens=[_text(one.token.raw) for one in logprobs],
        token_logprobs=[None if one.token.logprob is None else _logprob(one.token) for one in logprobs],
        top_logprobs=alternatives if any(alternatives) else None,
        text_offset=[offsets.next(one.token.raw) for one in logprobs],
    )


def joined(parts: Sequence[CompletionLogprobs]) -> CompletionLogprobs:
    """Those of the parts of one choice, as one."""
    tops = [top for part in parts for top in part.top_logprobs or [None] * len(part.tokens)]
    return CompletionLogprobs(
        tokens=[token for part in parts for token in part.tokens],
        token_logprobs=[logprob for part in parts for logprob in part.token_logprobs],
        top_logprobs=tops if any(tops) else None,
        text_offset=[offset for part in parts for offset in part.text_offset],
    )


def _alternatives(one: TokenLogprobs) -> dict[str, float] | None:
    if not one.top:
        return None
    named: dict[str, float] = {}
    for candidate in (*one.top, one.token):
        named.setdefault(_text(candidate.raw), _logprob(candidate))  # of two with one name, the likelier
    return named


def _token(one: TokenLogprobs) -> TokenLogprob:
    return TokenLogprob(
        token=_text(one.token.raw),
        logprob=_logprob(one.token),
        bytes=list(one.token.raw),
        top_logprobs=[TopLogprob(token=_text(top.raw), logprob=_logprob(top), bytes=list(top.raw)) for top in one.top],
    )


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _logprob(candidate: Candidate) -> float:
    return UNLIKELY if candidate.logprob is None else max(candidate.logprob, UNLIKELY)
