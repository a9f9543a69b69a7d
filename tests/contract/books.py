"""Files, batches and shards to try a book with. Times are fixed, and ids are in order of them."""

from dataclasses import replace

from penstock.batches.records import Batch, File, Hold, InputError, Purpose, Shard, ShardState, Status, derived_id
from penstock.clock import SECOND
from penstock.ledger import Usage
from tests.contract.samples import NOW, USAGE

DAY = 24 * 3_600


def file_of(number: int = 0, *, account: str = "acme", purpose: Purpose = Purpose.BATCH) -> File:
    """The account's file that was made so many seconds after NOW."""
    at = NOW + number * SECOND
    file_id = derived_id("file-", at, account.encode())
    return File(file_id, account, purpose, f"{number}.jsonl", 1_000 + number, f"files/{account}/{file_id}", at)


def batch_of(number: int = 0, *, account: str = "acme") -> Batch:
    """The account's batch that was made so many seconds after NOW."""
    at = NOW + number * SECOND
    batch_id = derived_id("batch_", at, account.encode())
    return Batch(
        id=batch_id,
        account_id=account,
        key_id=f"{account}-key",
        endpoint="/v1/chat/completions",
        input_file_id=file_of(number, account=account).id,
        input_address=f"files/{account}/in",
        window_s=DAY,
        created_at=at,
        expires_at=at + DAY * SECOND,
        output_address=f"files/{account}/out",
        error_address=f"files/{account}/err",
        metadata={"team": "blue", "note": "für später"},
    )


def full(batch: Batch) -> Batch:
    """The batch with all that a batch can have, closed."""
    return replace(
        batch,
        status=Status.COMPLETED,
        in_progress_at=NOW + 1,
        finalizing_at=NOW + 2,
        cancelling_at=NOW + 3,
        ended_at=NOW + 4,
        errors=(InputError("invalid_json", "line 3 is no JSON", 3), InputError("empty_file", "it is empty", param="x")),
        more_errors=True,
        lines=9,
        model="demo",
        completed=7,
        failed=2,
        usage=USAGE,
        shards=2,
        output_file_id=file_of(1).id,
        error_file_id=file_of(2).id,
        topic_told=True,
        hold=Hold("me", NOW + 5),
        told=True,
    )


def shards_of(batch: Batch, count: int) -> list[Shard]:
    """So many shards, numbered from 0."""
    return [Shard(batch.id, number, number // 2, "demo", 10 + number, 1_000) for number in range(count)]


def finished(shard: Shard) -> Shard:
    """The shard with all that a shard can have."""
    return replace(
        shard,
        state=ShardState.DONE,
        since=NOW + 1,
        attempt=2,
        stalled=1,
        call="fc-123",
        completed=9,
        failed=1,
        usage=Usage(9, 8, 7),
    )
