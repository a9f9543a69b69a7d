"""The wire format of files and batches, pinned as JSON, and held against OpenAI's own client."""

from typing import Any

import openai.types
import orjson
import pytest
from openai.types import batch_create_params, batch_list_params, file_create_params, file_list_params
from pydantic import BaseModel

from penstock.batches import records
from penstock.batches.records import FileState, InputError, Purpose, Status
from penstock.ledger import Usage
from penstock.schemas.batch import Batch, BatchesQuery, BatchRequest
from penstock.schemas.file import (
    ExpiresAfter,
    FileDeleted,
    FileForm,
    FileObject,
    FileRequest,
    FilesQuery,
    Upload,
    is_file_name,
)
from tests.unit.schemas.test_parameters import PAGE
from tests.unit.schemas.test_wire_format import unknown_fields

FILE = records.File(
    id="file-1",
    account_id="lab",
    purpose=Purpose.BATCH,
    filename="in.jsonl",
    size=120,
    address="files/lab/file-1",
    created_at=1_700_000_000_999,
    expires_at=1_702_592_000_999,
)
FILE_JSON = (
    '{"id":"file-1","object":"file","bytes":120,"created_at":1700000000,"expires_at":1702592000,"filename":"in.jsonl",'
    '"purpose":"batch","status":"processed"'
)
BATCH = records.Batch(
    id="batch_1",
    account_id="lab",
    key_id="k1",
    endpoint="/v1/completions",
    input_file_id="file-1",
    input_address="files/lab/file-1",
    window_s=86_400,
    created_at=1_700_000_000_000,
    expires_at=1_700_086_400_000,
    output_address="files/lab/file-2",
    error_address="files/lab/file-3",
    metadata={"night": "one"},
    status=Status.COMPLETED,
    in_progress_at=1_700_000_001_000,
    finalizing_at=1_700_000_002_000,
    ended_at=1_700_000_003_000,
    lines=3,
    model="demo",
    completed=2,
    failed=1,
    usage=Usage(prompt_tokens=20, cached_prompt_tokens=8, completion_tokens=5),
    output_file_id="file-2",
    error_file_id="file-3",
)
BATCH_JSON = (
    '{"id":"batch_1","object":"batch","endpoint":"/v1/completions","model":"demo","errors":null,'
    '"input_file_id":"file-1","completion_window":"24h","status":"completed","output_file_id":"file-2",'
    '"error_file_id":"file-3","created_at":1700000000,"in_progress_at":1700000001,"expires_at":1700086400,'
    '"finalizing_at":1700000002,"completed_at":1700000003,"failed_at":null,"expired_at":null,"cancelling_at":null,'
    '"cancelled_at":null,"request_counts":{"total":3,"completed":2,"failed":1},"usage":{"input_tokens":20,'
    '"input_tokens_details":{"cached_tokens":8},"output_tokens":5,"output_tokens_details":{"reasoning_tokens":0},'
    '"total_tokens":25},"metadata":{"night":"one"}}'
)


def test_a_file() -> None:
    assert FileObject.of(FILE).model_dump_json() == FILE_JSON + "}"
    assert FileDeleted(id="file-1").model_dump_json() == '{"id":"file-1","object":"file","deleted":true}'


def test_a_file_whose_content_is_to_be_put() -> None:
    pending = records.File(**{name: getattr(FILE, name) for name in FILE.__slots__} | {"state": FileState.PENDING})
    upload = Upload(url="https://storage/x?y", headers={}, expires_at=1_700_003_600)
    assert FileObject.of(pending, upload).model_dump_json() == (
        FILE_JSON.replace("processed", "pending")
        + ',"upload":{"url":"https://storage/x?y","method":"PUT","headers":{},"expires_at":1700003600}}'
    )


def test_a_batch() -> None:
    assert Batch.of(BATCH).model_dump_json() == BATCH_JSON


def test_the_clients_models_know_every_field() -> None:
    for kind, wire in ((openai.types.FileObject, FILE_JSON + "}"), (openai.types.Batch, BATCH_JSON)):
        parsed = kind.model_validate(orjson.loads(wire), strict=True)
        assert unknown_fields(parsed) == []
        assert parsed.model_dump(exclude_unset=True, mode="json") == orjson.loads(wire)


def test_what_is_wrong_with_an_input() -> None:
    failed = records.Batch(
        **{name: getattr(BATCH, name) for name in BATCH.__slots__}
        | {"errors": (InputError("empty_file", "Empty."), InputError("x", "y", 7, "body.n")), "more_errors": True}
    )
    errors = Batch.of(failed).errors
    assert errors is not None
    assert errors.model_dump_json() == (
        '{"object":"list","data":[{"code":"empty_file","line":null,"message":"Empty.","param":null},'
        '{"code":"x","line":7,"message":"y","param":"body.n"}],"has_more":true}'
    )


@pytest.mark.parametrize(("window_s", "told"), [(3_600, "1h"), (604_800, "168h"), (5_400, "5400s")])
def test_a_window_is_told_in_hours_where_it_is_some(window_s: int, told: str) -> None:
    batch = records.Batch(**{name: getattr(BATCH, name) for name in BATCH.__slots__} | {"window_s": window_s})
    assert Batch.of(batch).completion_window == told


@pytest.mark.parametrize(
    ("ours", "openais", "apart"),
    [
        (FileForm, file_create_params.FileCreateParams, {"file"}),
        (ExpiresAfter, file_create_params.ExpiresAfter, set()),
        (FilesQuery, file_list_params.FileListParams, set()),
        (BatchRequest, batch_create_params.BatchCreateParams, set()),
        (ExpiresAfter, batch_create_params.OutputExpiresAfter, set()),
        (BatchesQuery, batch_list_params.BatchListParams, set()),
    ],
)
def test_what_the_client_can_send_is_read(ours: type[BaseModel], openais: Any, apart: set[str]) -> None:
    """No more and no less: nothing is ignored."""
    assert ours.model_fields.keys() | apart == openais.__annotations__.keys()
    assert FileRequest.model_fields.keys() == FileForm.model_fields.keys() | {"filename", "bytes"}


def test_the_page_on_compatibility_names_every_parameter() -> None:
    section = PAGE.read_text().split("\n## Files and batches\n")[1].split("\n## ")[0]
    names = {"file"}
    for kind in (FileForm, FilesQuery, BatchRequest, BatchesQuery):
        names |= kind.model_fields.keys()
    assert {name for name in names if f"`{name}`" not in section} == set()


@pytest.mark.parametrize("name", ["in.jsonl", "Grüße 1.jsonl", "..", "x" * 255, '"', "a'b%2f"])
def test_names(name: str) -> None:
    assert is_file_name(name)
    assert FileRequest(purpose="batch", filename=name, bytes=1).filename == name


@pytest.mark.parametrize("name", ["", "a/b", "a\\b", "a\n", "a\x00", "a\x85b", "a\u2028b", "x" * 256, "/etc/passwd"])
def test_what_is_no_name(name: str) -> None:
    assert not is_file_name(name)
    with pytest.raises(ValueError, match="filename"):
        FileRequest(purpose="batch", filename=name, bytes=1)
