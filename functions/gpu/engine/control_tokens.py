"""Which tokens of a vocabulary no content of a message may forge."""

import re
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
        self.pattern = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True)) or "(?!)"
        self.heads = tuple({text[:cut] for text in texts for cut in range(1, len(text))})
        self.tails = tuple({text[cut:] for text in texts for cut in range(1, len(text))})
        # Looked for in normalized text, so that another spelling (full-width, say) could become one.
        self.have_spellings = backend.normalizer is not None and any(token.normalized for token in tokens.values())


def _builds_turns(text: str, template: str) -> bool:
    return not text.isspace() and (text in template or any(role in text for role in ROLES))
