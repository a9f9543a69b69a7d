"""Records as text, and back; also what an older or a newer program has written."""

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.batches.records import (
    Batch,
    File,
    FileState,
    Hold,
    InputError,
    Purpose,
    Shard,
    ShardState,
    Status,
)
from penstock.batches.text import MOST, batch_of, file_of, shard_of, text_of
from penstock.ledger import Usage
from tests.contract import books

numbers = st.integers(0, 2**53)
texts = st.text(max_size=20)  # without lone surrogates
some = st.one_of(st.none(), texts)
times = st.one_of(st.none(), numbers)
usages = st.builds(lambda new, cached, out: Usage(new + cached, cached, out), numbers, numbers, numbers)
files = st.builds(File, texts, texts, st.sampled_from(Purpose), texts, numbers, texts, numbers, times,
                  st.sampled_from(FileState), numbers)  # fmt: skip
batches = st.builds(
    Batch,
    **{field.name: texts for field in fields(Batch) if field.type is str},
    **{field.name: numbers for field in fields(Batch) if field.type is int},
    **{field.name: times for field in fields(Batch) if field.type == int | None},
    **{field.name: some for field in fields(Batch) if field.type == str | None},
    **{field.name: st.booleans() for field in fields(Batch) if field.type is bool},
    metadata=st.dictionaries(texts, texts, max_size=3),
    status=st.sampled_from(Status),
    errors=st.lists(st.builds(InputError, texts, texts, times, some), max_size=3).map(tuple),
    usage=usages,
    hold=st.one_of(st.none(), st.builds(Hold, texts, numbers)),
)
shards = st.builds(Shard, texts, numbers, numbers, texts, numbers, numbers, st.sampled_from(ShardState), numbers,
                   numbers, numbers, some, numbers, numbers, usages, numbers)  # fmt: skip


@given(files)
def test_a_files_text_is_the_file(file: File) -> None:
    assert file_of(text_of(file)) == file


@given(batches)
def test_a_batchs_text_is_the_batch(batch: Batch) -> None:
    assert batch_of(text_of(batch)) == batch


@given(shards)
def test_a_shards_text_is_the_shard(shard: Shard) -> None:
    assert shard_of(text_of(shard)) == shard


def test_what_is_read_has_the_types_that_it_should() -> None:
    batch = batch_of(text_of(books.full(books.batch_of())))
    assert isinstance(batch.status, Status)
    assert batch.closed
    assert isinstance(batch.errors, tuple)
    assert isinstance(batch.hold, Hold)
    file = file_of(text_of(books.file_of()))
    assert (type(file.purpose), type(file.state)) == (Purpose, FileState)
    (shard,) = books.shards_of(batch, 1)
    assert isinstance(shard_of(text_of(shard)).state, ShardState)


def test_equal_records_have_the_same_text() -> None:
    one = replace(books.batch_of(), metadata={"a": "1", "b": "2"})
    other = replace(books.batch_of(), metadata={"b": "2", "a": "1"})
    assert text_of(one) == text_of(other)


def _without(text: str, *names: str) -> str:
    record = json.loads(text)
    return json.dumps({name: value for name, value in record.items() if name not in names})


def _optional(kind: type) -> list[str]:
    """The fields that have defaults: those that an older program may not have written."""
    needed = kind.__init__.__code__.co_argcount - 1 - len(kind.__init__.__defaults__ or ())  # type: ignore[misc]
    return [field.name for field in fields(kind)][needed:]


@pytest.mark.parametrize(
    ("record", "read"),
    [
        (books.file_of(), file_of),
        (books.full(books.batch_of()), batch_of),
        (books.finished(books.shards_of(books.batch_of(), 1)[0]), shard_of),
    ],
)
def test_what_an_older_program_has_not_written_takes_its_default(record: Any, read: Any) -> None:
    optional = _optional(type(record))
    assert "revision" in optional
    for name in optional:
        found = read(_without(text_of(record), name))
        assert found == replace(record, **{name: getattr(read(_without(text_of(record), *optional)), name)})


def test_what_a_newer_program_has_added_is_passed_over() -> None:
    for record, read in ((books.file_of(), file_of), (books.full(books.batch_of()), batch_of)):
        told = json.loads(text_of(record)) | {"mood": "good"}
        for inner in ("hold", "usage"):
            if told.get(inner):
                told[inner]["mood"] = "good"
        assert read(json.dumps(told)) == record


def test_an_older_record_as_it_lies_in_stores_is_read() -> None:
    """Word for word: what this reads must not change."""
    text = (
        '{"account_id":"acme","address":"files/acme/file-0","created_at":1,"expires_at":null,"filename":"é.jsonl",'
        '"id":"file-0","purpose":"batch","revision":2,"size":3,"state":"pending"}'
    )
    file = File("file-0", "acme", Purpose.BATCH, "é.jsonl", 3, "files/acme/file-0", 1, None, FileState.PENDING, 2)
    assert file_of(text) == file
    assert text_of(file) == text


def test_a_lone_surrogate_becomes_a_question_mark() -> None:
    batch = replace(books.batch_of(), errors=(InputError("invalid_json", "\ud800!", 1),))
    assert batch_of(text_of(batch)).errors[0].message == "?!"


def test_a_record_that_no_store_could_hold_is_named() -> None:
    file = replace(books.file_of(), filename="a" * MOST)
    with pytest.raises(ValueError, match=f"the record of {file.id} takes .* bytes, over {MOST}"):
        text_of(file)
    (shard,) = books.shards_of(books.batch_of(), 1)
    with pytest.raises(ValueError, match="'s shard 0 takes"):
        text_of(replace(shard, call="a" * MOST))
