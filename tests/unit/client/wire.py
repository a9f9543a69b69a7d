"""Files and batches as the API answers them."""

from typing import Any

from penstock.batches.records import Batch, File, FileState, Purpose, Status
from penstock.ledger.records import Usage
from penstock.schemas import batch as wire
from penstock.schemas import file as file_wire


def a_file(**changes: Any) -> dict[str, Any]:
    """A file object."""
    file = File("file-1", "local", Purpose.BATCH, "in.jsonl", 5, "files/local/file-1", 1_000_000, state=FileState.READY)
    return {**file_wire.FileObject.of(file).model_dump(), **changes}


def a_batch(status: str = "in_progress", completed: int = 0, failed: int = 0, **changes: Any) -> dict[str, Any]:
    """A batch object of 4 lines."""
    batch = Batch(
        id="batch_1",
        account_id="local",
        key_id="k",
        endpoint="/v1/chat/completions",
        input_file_id="file-1",
        input_address="files/local/file-1",
        window_s=86_400,
        created_at=1_000_000,
        expires_at=87_400_000,
        output_address="files/local/file-2",
        error_address="files/local/file-3",
        status=Status(status),
        lines=4,
        completed=completed,
        failed=failed,
        usage=Usage(prompt_tokens=3 * completed, completion_tokens=completed),
    )
    return {**wire.Batch.of(batch).model_dump(), **changes}
