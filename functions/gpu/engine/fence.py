"""The fence between what a chat template writes and what callers write.

A rendered conversation is one string, in which a caller's `<|im_end|>` looks like the template's own. So the
control tokens in the contents are enclosed in two marks before rendering; after it, what is enclosed is
tokenized as plain text and everything else as usual. The marks are characters that none of the contents has,
so they cannot be forged. Marking only these, not whole contents, leaves everything else as its author meant
it: templates trim, search and split contents, and tokens are merged across a content's borders.

A template may also cut a content, or set two beside each other, so that pieces meet and make a control token.
A mark without its partner therefore still separates what is left and right of it, and one stands at each
border of a content where a control token could begin or end. A template that rewrites contents letter by
letter is trusted, as all of the template is.
"""

import re
from collections.abc import Sequence
from typing import Any

from functions.gpu.engine.control_tokens import ControlTokens
from functions.gpu.engine.protocol import InvalidPrompt

# Private-use planes: no template and no vocabulary has them, and no tokenizer ever sees them.
MARKS = (*range(0xF0000, 0xFFFFE), *range(0x100000, 0x10FFFE))
# A text that continues another is encoded behind this and cut off it again: SentencePiece would otherwise
# put a space before it, as at the start of a text.
ANCHOR = "\n"


class Fence:
    """Marks the contents of one conversation, and encodes it when it is rendered.

    `backend` is a tokenizers.Tokenizer.
    """

    def __init__(self, backend: Any, controls: ControlTokens, contents: Sequence[str]) -> None:
        self._backend = backend
        self._controls = controls
        self._open, self._shut = _two_marks(contents)
        marks = f"{self._open}({controls.pattern}){self._shut}|[{self._open}{self._shut}]"
        self._marked = re.compile(marks)
        self._as_text: dict[str, list[int]] = {}

    def mark(self, content: str) -> str:
        """A content that cannot forge a control token once rendered. Raises InvalidPrompt if none can be."""
        content = re.sub(self._controls.pattern, rf"{self._open}\g<0>{self._shut}", content)
        content = self._mark_borders(content)
        if self._controls.have_spellings and self._controls.ids.intersection(self.encode(content)):
            raise InvalidPrompt("a message spells a control token of this model in another way")
        return content

    def encode(self, rendered: str) -> list[int]:
        """The ids of a rendered conversation; its marks are gone. Raises InvalidPrompt."""
        pieces = self._marked.split(rendered)  # text, enclosed token or None, text, ...
        first, *rest = self._encode_texts(pieces[::2])
        ids = list(first)
        for token, text in zip(pieces[1::2], rest, strict=True):
            ids += self._encode_as_text(token) if token else []
            ids += text
        return ids

    def _mark_borders(self, content: str) -> str:
        """Set a mark where the outermost letters could be a part of a control token; a template may trim."""
        body = content.strip()
        before, _, after = content.partition(body) if body else ("", "", content)
        left = self._shut if body.startswith(self._controls.tails) else ""
        right = self._open if body.endswith(self._controls.heads) else ""
        return before + left + body + right + after

    def _encode_texts(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of texts as usual, each but the first as the continuation of another."""
        anchored = [texts[0], *(ANCHOR + text for text in texts[1:])]
        # The batch call lets other threads run, which `encode` does not; the event loop is one of them.
        first, *rest = [e.ids for e in self._backend.encode_batch_fast(anchored, add_special_tokens=False)]
        anchor = self._backend.encode(ANCHOR, add_special_tokens=False).ids if rest else []
        for index, text in enumerate(texts[1:]):
            if _stands_alone(anchor, rest[index], text):
                rest[index] = rest[index][len(anchor) :]
            else:
                rest[index] = self._backend.encode(text, add_special_tokens=False).ids
        return [first, *rest]

    def _encode_as_text(self, token: str) -> list[int]:
        """The ids of a control token's letters, none of them a control token's."""
        if token not in self._as_text:
            ids = self._without_added_tokens(token)
            if self._controls.ids.intersection(ids):
                ids = [id_ for letter in token for id_ in self._without_added_tokens(letter)]
            if self._controls.ids.intersection(ids):
                raise InvalidPrompt(f"this model cannot read {token!r} as text")
            self._as_text[token] = ids
        return self._as_text[token]

    def _without_added_tokens(self, text: str) -> list[int]:
        """The tokenizer's pipeline without its first stage, which finds added tokens."""
        anchor, ids = self._pipeline(ANCHOR), self._pipeline(ANCHOR + text)
        return ids[len(anchor) :] if _stands_alone(anchor, ids, text) else self._pipeline(text)

    def _pipeline(self, text: str) -> list[int]:
        normalizer, pre_tokenizer = self._backend.normalizer, self._backend.pre_tokenizer
        if normalizer is not None:
            text = normalizer.normalize_str(text)
        words = [text] if pre_tokenizer is None else [word for word, _ in pre_tokenizer.pre_tokenize_str(text)]
        return [token.id for word in words for token in self._backend.model.tokenize(word)]


def _stands_alone(anchor: list[int], ids: list[int], text: str) -> bool:
    """Whether the anchor before `text` can be cut off its `ids`: it did not become one token with it."""
    return ids[: len(anchor)] == anchor and (len(ids) > len(anchor) or not text)


def _two_marks(contents: Sequence[str]) -> tuple[str, str]:
    """Two characters that none of the contents has."""
    used = set().union(*contents)
    free = (chr(code) for code in MARKS if chr(code) not in used)
    first, second = next(free, None), next(free, None)
    if first is None or second is None:
        raise InvalidPrompt("the messages use every private-use character there is")
    return first, second
