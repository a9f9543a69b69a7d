"""Requests under an `Idempotency-Key`, and the answers kept for their repetitions.

An entry is small, because a repetition tries to write it, which is paid for by its size; the answer's body is
an item of its own, written before the entry says that there is one.

An entry past its end counts as none, whether or not DynamoDB's TTL has come by, which takes hours.
"""

from contextlib import suppress

from penstock.clock import SECOND
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import answer_key, beside, body_key
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.table import ConditionFailed, Table
from penstock.ledger.dynamodb.values import Item, Value
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
        return await _became(table, failed.item or entry, body_hash, attempt)
    return Idempotency.FRESH


async def remember(
    table: Table, account_id: str, idempotency_key: str, attempt: str, answer: StoredAnswer | None, *, expires_at: int
) -> bool:
    """Keep the answer, or that there was one. See the protocol."""
    ends: dict[str, Value] = {EXPIRES: expires_at // SECOND + 1}
    update = Update(answer_key(account_id, idempotency_key)).set(ends_at=expires_at, **ends)
    if answer is None:
        update.set(state=UNKEPT)
    else:
        await _keep(table, {**body_key(account_id, idempotency_key, attempt), "body": answer.body, **ends})
        update.set(state=ANSWERED, status=answer.status, content_type=answer.content_type)
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


async def _keep(table: Table, body: Item) -> None:
    with suppress(ConditionFailed):  # the first one stays
        await table.put(body)


async def _became(table: Table, entry: Item, body_hash: str, attempt: str) -> StoredAnswer | Idempotency:
    if entry["body_hash"] != body_hash:
        return Idempotency.MISMATCH
    if entry["state"] == RUNNING:
        return Idempotency.FRESH if entry["attempt"] == attempt else Idempotency.IN_FLIGHT
    body = None if entry["state"] == UNKEPT else await table.get(beside(entry, entry["attempt"]))
    if body is None:
        return Idempotency.UNKEPT
    return StoredAnswer(entry["status"], entry["content_type"], bytes(body["body"]))
