"""Ids to text a token at a time, held against the tokenizer's decode of all of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models

from functions.gpu.engine.detokenizer import Detokenizer, TokenText
from tests.tiny_model import make_tokenizer

WORDS = ("▁Hello", "▁world", "▁", "ing", "é", "▁▁")


def sentencepiece_like() -> Tokenizer:
    """A vocabulary like Llama 2's: pieces with a word mark, and a token for each byte."""
    names = ["<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *WORDS]
    backend = Tokenizer(models.BPE({name: key for key, name in enumerate(names)}, [], byte_fallback=True))
    backend.add_special_tokens([AddedToken("<s>", special=True), AddedToken("</s>", special=True)])
    backend.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    return backend


def wordpiece_like() -> Tokenizer:
    names = ["[UNK]", "the", "gate", "##way", "##s", "open"]
    backend = Tokenizer(models.WordPiece({name: key for key, name in enumerate(names)}, unk_token="[UNK]"))
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    return backend


def byte_level() -> Tokenizer:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens(["<think>", "日本"])  # added, not special, and not in the byte alphabet
    backend: Tokenizer = tokenizer.backend_tokenizer
    return backend


BYTE_LEVEL, SENTENCEPIECE, WORDPIECE = byte_level(), sentencepiece_like(), wordpiece_like()


def ids_named(backend: Tokenizer, *names: str) -> list[int]:
    ids = [backend.token_to_id(name) for name in names]
    return [token for token in ids if token is not None]


def stream(backend: Tokenizer, ids: list[int]) -> list[str]:
    detokenizer = Detokenizer(TokenText(backend))
    return [*map(detokenizer.push, ids), detokenizer.finish()]


def ids_of(backend: Tokenizer) -> st.SearchStrategy[list[int]]:
    """Any ids, some of them past the vocabulary's end, as a padded embedding allows."""
    return st.lists(st.integers(0, backend.get_vocab_size() + 2), max_size=40)


@given(ids_of(BYTE_LEVEL))
def test_byte_level_pieces_are_the_decode_of_all_ids(ids: list[int]) -> None:
    assert "".join(stream(BYTE_LEVEL, ids)) == BYTE_LEVEL.decode(ids)


@given(ids_of(WORDPIECE))
def test_wordpiece_pieces_are_the_decode_of_all_ids(ids: list[int]) -> None:
    assert "".join(stream(WORDPIECE, ids)) == WORDPIECE.decode(ids)


@given(st.lists(st.one_of(st.sampled_from(WORDS), st.characters(codec="utf-8"), st.just("<s>")), max_size=30))
def test_byte_fallback_pieces_are_the_decode_of_all_ids(parts: list[str]) -> None:
    ids: list[int] = []
    for part in parts:
        known = SENTENCEPIECE.token_to_id(part)
        ids += [2 + byte for byte in part.encode()] if known is None else [known]
    assert "".join(stream(SENTENCEPIECE, ids)) == SENTENCEPIECE.decode(ids)


@given(ids_of(SENTENCEPIECE))
def test_byte_tokens_that_are_not_utf8_cost_no_character_beside_them(ids: list[int]) -> None:
    whole = SENTENCEPIECE.decode(ids)
    streamed = "".join(stream(SENTENCEPIECE, ids))
    if "\ufffd" not in whole:
        assert streamed == whole
    (hello,) = ids_named(SENTENCEPIECE, "▁Hello")
    assert streamed.count("Hello") >= ids.count(hello)


@pytest.mark.parametrize("backend", [BYTE_LEVEL, SENTENCEPIECE])
def test_a_character_of_four_tokens_leaves_whole(backend: Tokenizer) -> None:
    names = ["ð", "Ł", "Ļ", "Ģ"] if backend is BYTE_LEVEL else [f"<0x{b:02X}>" for b in "🛠".encode()]
    ids = ids_named(backend, *names)
    *held, last, rest = stream(backend, ids)
    assert held == ["", "", ""]
    assert (last, rest) == (backend.decode(ids), "")
    assert len(last) == 1


@pytest.mark.parametrize("backend", [BYTE_LEVEL, SENTENCEPIECE])
@pytest.mark.parametrize("byte", [0x80, 0xFF, 0xE4, 0xF0])
def test_endless_invalid_bytes_are_not_held_back(backend: Tokenizer, byte: int) -> None:
    name = f"<0x{byte:02X}>" if backend is SENTENCEPIECE else {0x80: "Ģ", 0xFF: "ÿ", 0xE4: "ä", 0xF0: "ð"}[byte]
    pieces = stream(backend, ids_named(backend, name) * 100)
    assert set("".join(pieces)) == {"\ufffd"}
    assert all(len("".join(pieces[:count])) >= count - 1 for count in range(1, 101))


def test_the_leading_space_is_dropped_at_the_start_only() -> None:
    hello, end = ids_named(SENTENCEPIECE, "▁Hello", "</s>")
    assert stream(SENTENCEPIECE, [hello, end, hello]) == ["Hello", "", " Hello", ""]


@pytest.mark.parametrize(
    ("backend", "name", "expected"),
    [
        (BYTE_LEVEL, "Ġthe", b" the"),
        (BYTE_LEVEL, "ð", b"\xf0"),
        (BYTE_LEVEL, "<|im_end|>", b"<|im_end|>"),
        (BYTE_LEVEL, "日本", "日本".encode()),
        (SENTENCEPIECE, "▁Hello", b" Hello"),
        (SENTENCEPIECE, "▁", b" "),
        (SENTENCEPIECE, "▁▁", b"  "),
        (SENTENCEPIECE, "é", "é".encode()),
        (SENTENCEPIECE, "<0x20>", b" "),
        (SENTENCEPIECE, "<0xE4>", b"\xe4"),
        (SENTENCEPIECE, "</s>", b"</s>"),
        (WORDPIECE, "##way", b"way"),
        (WORDPIECE, "open", b" open"),
    ],
)
def test_the_bytes_of_a_token_are_what_it_adds_inside_a_text(backend: Tokenizer, name: str, expected: bytes) -> None:
    (token,) = ids_named(backend, name)
    assert TokenText(backend).bytes_of(token) == expected


@pytest.mark.parametrize("backend", [BYTE_LEVEL, SENTENCEPIECE, WORDPIECE])
def test_an_id_past_the_vocabulary_has_no_bytes(backend: Tokenizer) -> None:
    assert TokenText(backend).bytes_of(backend.get_vocab_size()) == b""


@given(ids_of(BYTE_LEVEL))
def test_the_bytes_of_all_ids_are_their_text(ids: list[int]) -> None:
    raw = b"".join(map(TokenText(BYTE_LEVEL).bytes_of, ids))
    assert raw.decode(errors="replace") == BYTE_LEVEL.decode(ids, skip_special_tokens=False)
