"""API keys: their form, their checksum, and that a secret is never shown by accident."""

import hashlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.keys import ApiKey, mint, parse

KEY = mint()
TEXT = KEY.reveal()


def test_a_key_survives_being_shown_and_read() -> None:
    key = mint()
    assert parse(key.reveal()) == key


def test_a_key_is_recognisable() -> None:
    assert re.fullmatch(r"ps_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}", TEXT)


def test_the_form_does_not_change() -> None:
    # Keys are in users' hands: one of this version must be read by every later one.
    key = parse("ps_0123456789AB_abcdefghijklmnopqrstuvwxyz0123454eBcBR")
    assert key is not None
    assert key.id == "0123456789AB"
    assert key.secret.get_secret_value() == "abcdefghijklmnopqrstuvwxyz012345"
    assert key.digest() == hashlib.sha256(b"abcdefghijklmnopqrstuvwxyz012345").hexdigest()


@given(st.integers(0, len(TEXT) - 1), st.characters())
def test_any_change_of_one_character_is_refused(position: int, other: str) -> None:
    changed = TEXT[:position] + other + TEXT[position + 1 :]
    assert (parse(changed) is None) == (changed != TEXT)


@given(st.integers(0, len(TEXT) - 1))
def test_a_character_too_few_or_too_many_is_refused(position: int) -> None:
    assert parse(TEXT[:position] + TEXT[position + 1 :]) is None
    assert parse(TEXT[:position] + TEXT[position] + TEXT[position:]) is None


@given(st.text(max_size=80))
def test_other_text_is_no_key(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["", f" {TEXT}", f"{TEXT}\n", TEXT.lower().replace("ps_", "PS_"), TEXT * 2])
def test_a_key_stands_alone(text: str) -> None:
    assert parse(text) is None


def test_the_secret_is_in_no_representation() -> None:
    secret = KEY.secret.get_secret_value()
    for shown in (repr(KEY), str(KEY), f"{KEY}", repr([KEY]), repr(KEY.secret), str(KEY.secret)):
        assert secret not in shown
        assert secret[:8] not in shown


def test_only_its_own_digest_matches() -> None:
    assert KEY.matches(KEY.digest())
    assert not KEY.matches(mint().digest())
    assert not KEY.matches("")


def test_no_two_keys_are_alike() -> None:
    keys = [mint() for _ in range(200)]
    assert len({key.id for key in keys}) == len({key.digest() for key in keys}) == 200


def test_a_minted_key_is_an_api_key() -> None:
    assert isinstance(KEY, ApiKey)
    assert (len(KEY.id), len(KEY.secret.get_secret_value())) == (12, 32)
