"""The records of what a batch came to."""

from dataclasses import replace

from functions.batch.ending import KEPT, error_file, output_file
from functions.batch.joining import Joined
from penstock.batches.records import Batch, Purpose
from penstock.clock import SECOND
from penstock.ledger import Usage

BATCH = Batch(
    id="batch_1",
    account_id="lab",
    key_id="k",
    endpoint="",
    input_file_id="file-1",
    input_address="files/lab/file-1",
    window_s=60,
    created_at=1_000,
    expires_at=61_000,
    output_address="files/lab/file-2",
    error_address="files/lab/file-3",
    finalizing_at=5_000,
)


def test_its_files_expire_when_it_says() -> None:
    joined = Joined(completed=2, failed=1, missing=0, usage=Usage(), output_size=20, error_size=10)
    output, errors = output_file(BATCH, joined), error_file(BATCH, joined)
    assert output is not None
    assert errors is not None
    assert (output.id, output.size, output.purpose, output.expires_at) == (
        "file-2",
        20,
        Purpose.BATCH_OUTPUT,
        5_000 + KEPT,
    )
    assert (errors.id, errors.size) == ("file-3", 10)
    sooner = output_file(replace(BATCH, output_life_s=3_600), joined)
    assert sooner is not None
    assert sooner.expires_at == 5_000 + 3_600 * SECOND


def test_what_it_did_not_come_to_has_no_record() -> None:
    joined = Joined(completed=2, failed=0, missing=0, usage=Usage(), output_size=20, error_size=0)
    assert error_file(BATCH, joined) is None
