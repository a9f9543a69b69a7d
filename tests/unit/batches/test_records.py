"""Ids in order of time, and what a batch's record says of itself."""

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batches.addresses import batch_of_event, poke
from penstock.batches.records import (
    MOST_ERRORS,
    InputError,
    Status,
    derived_id,
    new_batch_id,
    new_file_id,
)
from tests.contract.books import batch_of
from tests.contract.samples import NOW

YEAR_8888 = 62**8 - 1  # in milliseconds

times = st.integers(0, YEAR_8888)


@given(times, times)
def test_ids_are_in_the_order_of_their_times(one: int, other: int) -> None:
    for new_id in (new_file_id, new_batch_id):
        if one != other:
            assert (new_id(one) < new_id(other)) == (one < other)
            assert (new_id(one).encode() < new_id(other).encode()) == (one < other)


@given(times)
def test_ids_have_a_form_and_a_length(now: int) -> None:
    assert re.fullmatch(r"file-[0-9A-Za-z]{22}", new_file_id(now))
    assert re.fullmatch(r"batch_[0-9A-Za-z]{22}", new_batch_id(now))


def test_ids_of_the_same_time_differ() -> None:
    assert len({new_batch_id(NOW) for _ in range(1_000)}) == 1_000


@given(times, st.binary(max_size=32), st.binary(max_size=32))
def test_a_derived_id_is_the_same_each_time_and_looks_like_a_new_one(now: int, one: bytes, other: bytes) -> None:
    derived = derived_id("batch_", now, one)
    assert derived == derived_id("batch_", now, one)
    assert re.fullmatch(r"batch_[0-9A-Za-z]{22}", derived)
    assert derived[:-14] == new_batch_id(now)[:-14]
    assert batch_of_event(poke(derived)) == derived
    if int.from_bytes(one) % 62**14 != int.from_bytes(other) % 62**14:
        assert derived != derived_id("batch_", now, other)


@given(times, times)
def test_derived_and_new_ids_are_in_one_order(one: int, other: int) -> None:
    if one != other:
        assert (derived_id("file-", one, b"z" * 32) < new_file_id(other)) == (one < other)


def test_four_statuses_are_final() -> None:
    final = {status for status in Status if status.final}
    assert final == {Status.FAILED, Status.COMPLETED, Status.EXPIRED, Status.CANCELLED}


def test_a_batch_is_closed_once_its_end_was_told() -> None:
    ended = replace(batch_of(), status=Status.FAILED)
    assert not ended.closed
    assert replace(ended, told=True).closed
    assert not replace(batch_of(), told=True).closed


def test_what_is_long_about_an_error_is_cut_short() -> None:
    error = InputError("invalid_json", "m" * 1_000, 3, "p" * 1_000)
    assert (len(error.message), error.message[-2:]) == (300, "m…")
    assert error.param is not None
    assert (len(error.param), error.param[-2:]) == (100, "p…")
    assert replace(error, line=4).message == error.message


def test_what_is_short_about_an_error_stays() -> None:
    error = InputError("invalid_json", "m" * 300, param="p" * 100)
    assert (error.message, error.param) == ("m" * 300, "p" * 100)
    assert InputError("empty_file", "it is empty").param is None


def test_a_batch_has_a_bounded_number_of_errors() -> None:
    error = InputError("invalid_json", "it is no JSON", 1)
    assert len(replace(batch_of(), errors=(error,) * MOST_ERRORS).errors) == MOST_ERRORS
    with pytest.raises(ValueError, match=f"101 errors of {batch_of().id}'s input are more than {MOST_ERRORS}"):
        replace(batch_of(), errors=(error,) * (MOST_ERRORS + 1))
