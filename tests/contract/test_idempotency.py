"""`Idempotency-Key`: the same request once, and the same answer again."""

import asyncio

import pytest

from penstock.clock import MINUTE
from penstock.ledger import MAX_ANSWER, Idempotency, Ledger, StoredAnswer
from tests.contract.samples import NOW

pytestmark = pytest.mark.anyio

ANSWER = StoredAnswer(200, "application/json", b'{"answer": "\xc3\xa9"}\x00')
UNTIL = NOW + MINUTE


async def begin(
    ledger: Ledger, body: str = "body", attempt: str = "a", *, account: str = "acme", now: int = NOW
) -> StoredAnswer | Idempotency:
    return await ledger.begin(account, "key-1", body, attempt, now=now, expires_at=now + MINUTE)


async def remember(
    ledger: Ledger, answer: StoredAnswer | None = ANSWER, attempt: str = "a", *, until: int = UNTIL
) -> bool:
    return await ledger.remember("acme", "key-1", attempt, answer, until)


async def test_the_first_is_fresh_and_another_finds_it_in_flight(ledger: Ledger) -> None:
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger, attempt="b") is Idempotency.IN_FLIGHT
    assert await begin(ledger, "another body", "b") is Idempotency.MISMATCH


async def test_the_same_attempt_may_begin_again_with_the_same_body(ledger: Ledger) -> None:
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger, "another body") is Idempotency.MISMATCH
    assert await begin(ledger, attempt="b") is Idempotency.IN_FLIGHT


async def test_accounts_do_not_share_keys(ledger: Ledger) -> None:
    assert await begin(ledger) is Idempotency.FRESH
    assert await begin(ledger, attempt="b", account="bolt") is Idempotency.FRESH


@pytest.mark.parametrize("idempotency_key", ["#", "a/b c", "ключ", "k" * 255])
async def test_a_key_is_any_text(ledger: Ledger, idempotency_key: str) -> None:
    async def begin(attempt: str) -> StoredAnswer | Idempotency:
        return await ledger.begin("acme", idempotency_key, "body", attempt, now=NOW, expires_at=UNTIL)

    assert await begin("a") is Idempotency.FRESH
    assert await ledger.remember("acme", idempotency_key, "a", ANSWER, UNTIL)
    assert await begin("b") == ANSWER


async def test_a_remembered_answer_comes_back_to_the_same_body_only(ledger: Ledger) -> None:
    await begin(ledger)
    assert await remember(ledger)
    for attempt in ("a", "b", "c"):
        assert await begin(ledger, attempt=attempt) == ANSWER
        assert await begin(ledger, "another body", attempt) is Idempotency.MISMATCH


@pytest.mark.parametrize("body", [b"", b"\x00\xff" * (MAX_ANSWER // 2)])
async def test_an_answer_may_be_empty_or_as_large_as_is_stored(ledger: Ledger, body: bytes) -> None:
    answer = StoredAnswer(201, "application/octet-stream", body)
    await begin(ledger)
    assert await remember(ledger, answer)
    assert await begin(ledger, attempt="b") == answer


async def test_an_answer_that_is_not_kept_is_known_to_have_been_given(ledger: Ledger) -> None:
    await begin(ledger)
    assert await remember(ledger, None)
    for attempt in ("a", "b"):
        assert await begin(ledger, attempt=attempt) is Idempotency.UNKEPT
        assert await begin(ledger, "another body", attempt) is Idempotency.MISMATCH
    assert await begin(ledger, "another body", "b", now=UNTIL) is Idempotency.FRESH


@pytest.mark.parametrize(("first", "kept"), [(ANSWER, ANSWER), (None, Idempotency.UNKEPT)])
async def test_the_first_answer_stays(
    ledger: Ledger, first: StoredAnswer | None, kept: StoredAnswer | Idempotency
) -> None:
    await begin(ledger)
    await remember(ledger, first)
    assert await remember(ledger, first)  # again, after a lost answer
    await remember(ledger, StoredAnswer(500, "text/plain", b"late"))
    await remember(ledger, None)
    await ledger.abandon("acme", "key-1", "a")
    assert await begin(ledger, attempt="b") == kept


async def test_an_abandoned_request_is_fresh_again_with_any_body(ledger: Ledger) -> None:
    await begin(ledger)
    await ledger.abandon("acme", "key-1", "a")
    await ledger.abandon("acme", "key-1", "a")
    assert await begin(ledger, "another body", "b") is Idempotency.FRESH
    assert not await remember(ledger)


async def test_only_the_attempt_that_began_may_remember_or_abandon(ledger: Ledger) -> None:
    await begin(ledger)
    assert not await remember(ledger, attempt="b")
    assert not await remember(ledger, None, attempt="b")
    await ledger.abandon("acme", "key-1", "b")
    assert await begin(ledger, attempt="b") is Idempotency.IN_FLIGHT
    assert await remember(ledger)


async def test_what_was_never_begun_is_not_remembered(ledger: Ledger) -> None:
    assert not await remember(ledger)
    assert await begin(ledger) is Idempotency.FRESH


@pytest.mark.parametrize("answered", [False, True])
async def test_a_key_past_its_end_is_forgotten(ledger: Ledger, answered: bool) -> None:
    await begin(ledger)
    if answered:
        await remember(ledger)
    assert await begin(ledger, "another body", "b", now=UNTIL - 1) is Idempotency.MISMATCH
    assert await begin(ledger, "another body", "b", now=UNTIL) is Idempotency.FRESH


async def test_an_attempt_that_took_too_long_leaves_the_key_to_its_successor(ledger: Ledger) -> None:
    await begin(ledger)
    assert await begin(ledger, attempt="b", now=UNTIL) is Idempotency.FRESH
    assert not await remember(ledger, StoredAnswer(500, "text/plain", b"late"))
    await ledger.abandon("acme", "key-1", "a")
    assert await remember(ledger, attempt="b", until=UNTIL + MINUTE)
    assert await begin(ledger, attempt="c", now=UNTIL) == ANSWER


async def test_remembering_sets_how_long_the_answer_is_kept(ledger: Ledger) -> None:
    await begin(ledger)
    await remember(ledger, until=NOW + 10 * MINUTE)
    assert await begin(ledger, attempt="b", now=NOW + 9 * MINUTE) == ANSWER


async def test_of_many_at_once_one_is_fresh(ledger: Ledger) -> None:
    outcomes = await asyncio.gather(*(begin(ledger, attempt=f"attempt {number}") for number in range(20)))
    assert sorted(map(str, outcomes)) == ["fresh"] + ["in_flight"] * 19
