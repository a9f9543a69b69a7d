"""Plain texts to token ids and back, as a model's tokenizer does it.

Special tokens in a text are such: whoever completes a text writes all of it. Conversations are tokenizer.py's.
"""

from collections.abc import Sequence
from typing import Any

from functions.gpu.engine.protocol import InvalidPrompt


class TextTokenizer:
    """Tokenizes texts for one model; several threads may use it.

    `backend` is a tokenizers.Tokenizer. Its batch calls let other threads run, which its single ones do not;
    the event loop is one of them.
    """

    def __init__(self, backend: Any) -> None:
        self._backend = backend

    def encode(self, text: str) -> list[int]:
        """The ids of a text, behind what the tokenizer begins one with. Raises InvalidPrompt."""
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidPrompt("the text has half a surrogate pair, which is no Unicode text") from None
        (encoding,) = self._backend.encode_batch_fast([text], add_special_tokens=True)
        return list(encoding.ids)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens included; ids of no token have none. Raises InvalidPrompt."""
        try:
            (text,) = self._backend.decode_batch([list(ids)], skip_special_tokens=False)
        except OverflowError:
            raise InvalidPrompt("a token id is negative, or over 32 bits") from None
        return str(text)
