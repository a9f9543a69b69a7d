"""Which tokens of a vocabulary no content of a message may forge."""

import re
from collections.abc import Collection
from itertools import groupby
from typing import Any

ROLES = ("system", "developer", "user", "assistant", "tool")


class ControlTokens:
    """The special tokens, and the added ones that a chat template builds turns with.

    A template writes the latter out, or makes them of a role (`'<|' + role + '|>'`). Other added tokens, such
    as Gemma's `<table>` or its runs of blanks, are ordinary vocabulary, and contents may use them.
    """

    def __init__(self, backend: Any, template: str) -> None:
        tokens = {
            key: token
            for key, token in backend.get_added_tokens_decoder().items()
            if token.special or _builds_turns(token.content, template)
        }
        texts = {token.content for token in tokens.values()}
        self.ids = frozenset(tokens)
        self.pattern = _one_of(texts)
        self.heads = tuple({text[:cut] for text in texts for cut in range(1, len(text))})
        self.tails = tuple({text[cut:] for text in texts for cut in range(1, len(text))})
        # Looked for in normalized text, so that another spelling (full-width, say) could become one.
        self.have_spellings = backend.normalizer is not None and any(token.normalized for token in tokens.values())


def _builds_turns(text: str, template: str) -> bool:
    return not text.isspace() and (text in template or any(role in text for role in ROLES))


def _one_of(texts: Collection[str]) -> str:
    """A regular expression for the longest of `texts`.

    It branches letter by letter: some vocabularies have thousands of control tokens, and trying them one
    after another at each `<` of a long content would stop the whole process for seconds.
    """
    if not texts:
        return "(?!)"
    endings = [
        re.escape(letter) + _one_of({text[1:] for text in group})
        for letter, group in groupby(sorted(filter(None, texts)), key=lambda text: text[0])
    ]
    if "" in texts:
        return f"(?:{'|'.join(endings)})?" if endings else ""
    return endings[0] if len(endings) == 1 else f"(?:{'|'.join(endings)})"
