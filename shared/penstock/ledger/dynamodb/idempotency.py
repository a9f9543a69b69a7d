"""Requests under an `Idempotency-Key`, and the answers kept for their repetitions: one item each.

An entry past its end counts as none, whether or not DynamoDB's TTL has come by, which takes hours.
"""

from contextlib import suppress

from penstock.clock import SECOND
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import answer_key
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import Idempotency, StoredAnswer

RUNNING, ANSWERED, UNKEPT = "running", "answered", "unkept"


async def begin(
    table: Table, account_id: str, idempotency_key: str, body_hash: str, attempt: str, *, now: int, expires_at: int
) -> StoredAnswer | Idempotency:
    """Take the key up, or say what became of it. See the protocol."""
    entry: Item = {
        **answer_key(account_id, idempotency_key),
        "state": RUNNING,
        "body_hash": body_hash,
        "attempt": attempt,
        "ends_at": expires_at,
        EXPIRES: expires_at // SECOND + 1,
    }
    try:
        # There is none, or it is past its end.
        await table.put(entry, unless="attribute_not_exists(pk) OR ends_at <= :now", values={":now": now})
    except ConditionFailed as failed:
        return _became(failed.item or entry, body_hash, attempt)
    return Idempotency.FRESH


async def remember(
    table: Table, account_id: str, idempotency_key: str, attempt: str, answer: StoredAnswer | None, *, expires_at: int
) -> bool:
    """Keep the answer, or that there was one. See the protocol."""
    update = Update(answer_key(account_id, idempotency_key))
    update.set(**{"ends_at": expires_at, EXPIRES: expires_at // SECOND + 1})
    if answer is None:
        update.set(state=UNKEPT)
    else:
        update.set(state=ANSWERED, status=answer.status, content_type=answer.content_type, body=answer.body)
    # It is this attempt's still; and this one's only, should an answer of ours have got lost.
    update.where(update.equals("attempt", to=attempt))
    first = update.equals("state", to=RUNNING)
    try:
        await table.update(update.where(first))
    except ConditionFailed as failed:
        return failed.item is not None and failed.item["attempt"] == attempt
    return True


async def abandon(table: Table, account_id: str, idempotency_key: str, attempt: str) -> None:
    """Forget the key, unless it was answered."""
    with suppress(ConditionFailed):
        await table.delete(
            answer_key(account_id, idempotency_key),
            "attempt = :attempt AND #state = :running",
            names={"#state": "state"},
            values={":attempt": attempt, ":running": RUNNING},
        )


def _became(entry: Item, body_hash: str, attempt: str) -> StoredAnswer | Idempotency:
    if entry["body_hash"] != body_hash:
        return Idempotency.MISMATCH
    if entry["state"] == RUNNING:
        return Idempotency.FRESH if entry["attempt"] == attempt else Idempotency.IN_FLIGHT
    if entry["state"] == UNKEPT:
        return Idempotency.UNKEPT
    return StoredAnswer(entry["status"], entry["content_type"], bytes(entry["body"]))
