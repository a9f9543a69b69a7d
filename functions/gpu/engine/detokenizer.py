"""Token ids to text, one token at a time.

Promises that the pieces, put together, are the decode of all ids without special tokens, that no piece ends
inside a UTF-8 character, and that at most three bytes are held back, whatever the model emits. A token costs
the same at the end of a long answer as at its beginning.

How: a token of a byte-level vocabulary, or a byte token (`<0x0A>`) of a SentencePiece one, is bytes and goes
through an incremental UTF-8 decoder. Any other token is decoded behind the token before it, which is all the
context a decoder looks at (a leading space is dropped at the start of a text only).

One difference from the tokenizer's own decode is deliberate: where byte tokens are not valid UTF-8, that one
gives up the valid characters beside them as well. A stream cannot take back what it sent, so they stay.
"""

import codecs
import json
import re
from typing import Any

from tokenizers import Tokenizer

BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")


class TokenText:
    """What each token of a vocabulary stands for; shared by all requests of a model."""

    def __init__(self, backend: Tokenizer) -> None:
        kinds = _decoder_kinds(backend)
        self._backend = backend
        self._byte_level = "ByteLevel" in kinds
        self._byte_fallback = "ByteFallback" in kinds
        self._special = {key for key, token in backend.get_added_tokens_decoder().items() if token.special}

    def skipped(self, token: int) -> bool:
        """Whether a token has no text at all: it is special, or no token of this vocabulary."""
        return token in self._special or self._backend.id_to_token(token) is None

    def raw(self, token: int, before: int | None) -> bytes | None:
        """The bytes a token stands for behind the token `before`, or None where it stands for text."""
        name = str(self._backend.id_to_token(token))
        if self._byte_level:
            return _byte_level_bytes(name)
        if self._byte_fallback and (byte := BYTE_TOKEN.fullmatch(name)):
            value = int(byte[1], 16)
            # A space is dropped at the start of a text, even one that came as a byte.
            return None if before is None and value < 0x80 else bytes([value])
        return None

    def bytes_of(self, token: int) -> bytes:
        """The bytes a token stands for inside a text: a special token's own text, nothing for an unknown id."""
        name = self._backend.id_to_token(token)
        if name is None or token in self._special:
            return str(name or "").encode()
        raw = self.raw(token, token)
        return self.text(token, token).encode() if raw is None else raw

    def text(self, token: int, before: int | None) -> str:
        """The text of a token that is not bytes, behind the token `before`."""
        if before is None:
            return str(self._backend.decode([token]))
        return str(self._backend.decode([before, token])[len(self._backend.decode([before])) :])


class Detokenizer:
    """The text of one answer."""

    def __init__(self, vocabulary: TokenText) -> None:
        self._vocabulary = vocabulary
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")
        self._before: int | None = None

    def push(self, token: int) -> str:
        """The text that this token completes; often empty inside a character of several tokens."""
        if self._vocabulary.skipped(token):
            return ""
        before, self._before = self._before, token
        raw = self._vocabulary.raw(token, before)
        if raw is not None:
            return self._utf8.decode(raw)
        return self.finish() + self._vocabulary.text(token, before)

    def finish(self) -> str:
        """What an unfinished character leaves: U+FFFD, as in the decode of all ids, or nothing."""
        text = self._utf8.decode(b"", final=True)
        self._utf8.reset()
        return text


def _decoder_kinds(backend: Tokenizer) -> set[str]:
    """The names of a tokenizer's decoders, out of a sequence of them too."""
    if backend.decoder is None:
        return set()
    todo: list[dict[str, Any]] = [json.loads(backend.decoder.__getstate__())]
    kinds = set()
    while todo:
        spec = todo.pop()
        kinds.add(spec["type"])
        todo += spec.get("decoders", [])
    return kinds


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's alphabet: printable bytes are themselves, the others follow from U+0100 on."""
    printable = {*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = (byte for byte in range(256) if byte not in printable)
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


BYTE_OF = _byte_alphabet()


def _byte_level_bytes(name: str) -> bytes:
    """A byte-level token's bytes; an added token outside the alphabet stands for its own text."""
    try:
        return bytes([BYTE_OF[letter] for letter in name])
    except KeyError:
        return name.encode()
