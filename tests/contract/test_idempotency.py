"""`Idempotency-Key`: the same request once, and the same answer again."""

import asyncio

import pytest

from penstock.clock import MINUTE
from penstock.ledger import Idempotency, Ledger, StoredAnswer
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio

ANSWER = StoredAnswer(200, "application/json", b'{"answer": "\xc3\xa9"}\x00')
UNTIL = NOW + MINUTE


async def begin(
    ledger: Ledger, body: str = "body", *, account: str = "acme", now: int = NOW
) -> StoredAnswer | Idempotency:
    return await ledger.begin(account, "key-1", body, now, now + MINUTE)


async def test_the_first_is_fresh_and_then_in_flight(ledger: Ledger) -> None:
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger) is Idempotency.IN_FLIGHT
    assert await begin(ledger, "another body") is Idempotency.MISMATCH


async def test_accounts_do_not_share_keys(ledger: Ledger) -> None:
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger, account="bolt") is Idempotency.FRESH


async def test_a_remembered_answer_comes_back_to_the_same_body_only(ledger: Ledger) -> None:
    await begin(ledger)
    await ledger.remember("acme", "key-1", ANSWER, UNTIL)
    assert await begin(ledger) == ANSWER
    assert await begin(ledger) == ANSWER
    assert await begin(ledger, "another body") is Idempotency.MISMATCH


async def test_the_first_answer_stays(ledger: Ledger) -> None:
    await begin(ledger)
    await ledger.remember("acme", "key-1", ANSWER, UNTIL)
    await ledger.remember("acme", "key-1", StoredAnswer(500, "text/plain", b"late"), UNTIL)
    await ledger.abandon("acme", "key-1")
    assert await begin(ledger) == ANSWER


async def test_an_abandoned_request_is_fresh_again_with_any_body(ledger: Ledger) -> None:
    await begin(ledger)
    await ledger.abandon("acme", "key-1")
    await ledger.abandon("acme", "key-1")
    assert await begin(ledger, "another body") is Idempotency.FRESH


async def test_what_was_never_begun_is_not_remembered(ledger: Ledger) -> None:
    await ledger.remember("acme", "key-1", ANSWER, UNTIL)
    assert await begin(ledger) is Idempotency.FRESH


@pytest.mark.parametrize("answered", [False, True])
async def test_a_key_past_its_end_is_forgotten(ledger: Ledger, answered: bool) -> None:
    await begin(ledger)
    if answered:
        await ledger.remember("acme", "key-1", ANSWER, UNTIL)
    assert await begin(ledger, "another body", now=UNTIL - 1) is Idempotency.MISMATCH
    assert await begin(ledger, "another body", now=UNTIL) is Idempotency.FRESH


async def test_remembering_sets_how_long_the_answer_is_kept(ledger: Ledger) -> None:
    await begin(ledger)
    await ledger.remember("acme", "key-1", ANSWER, NOW + 10 * MINUTE)
    assert await begin(ledger, now=NOW + 9 * MINUTE) == ANSWER


async def test_of_many_at_once_one_is_fresh(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(*(begin(ledger) for _ in range(20)))
    assert sorted(map(str, outcomes)) == ["fresh"] + ["in_flight"] * 19
