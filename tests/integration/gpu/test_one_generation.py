"""One ticket is one generation, however often and at whatever moment it is presented."""

import asyncio
from pathlib import Path

import orjson
import pytest

from penstock.clock import now_ms
from penstock.ledger import Claim
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CHAT, chat, standing, until

pytestmark = pytest.mark.anyio


async def test_a_replay_is_refused_with_the_same_body_and_with_another(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("once")) as stand:
        lease, body, headers = await stand.prepare(chat())
        first = await stand.http.post(CHAT, content=body, headers=headers)
        same = await stand.http.post(CHAT, content=body, headers=headers)
        other = await stand.http.post(CHAT, content=b"{not even JSON", headers=headers)
        records = await stand.ledger.as_ledger().records()
    assert first.status_code == 200
    assert (same.status_code, other.status_code) == (409, 409)
    assert same.json()["error"]["code"] == other.json()["error"]["code"] == "ticket_used"
    assert same.headers["x-should-retry"] == "false"
    assert len(stand.engine.begun) == 1
    assert [record.request_id for record in records] == [lease.id]


async def test_of_many_presentations_at_once_one_generates(tmp_path: Path) -> None:
    go = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine("a", go, "b")) as stand:
        _, body, headers = await stand.prepare(chat())
        posts = [asyncio.create_task(stand.http.post(CHAT, content=body, headers=headers)) for _ in range(20)]
        await until("all but one are refused", lambda: sum(post.done() for post in posts) == 19)
        go.set()
        answers = await asyncio.gather(*posts)
        records = await stand.ledger.as_ledger().records()
    assert sorted(answer.status_code for answer in answers) == [200] + [409] * 19
    assert len(stand.engine.begun) == 1
    assert len(records) == 1


async def test_of_two_processes_one_generates(tmp_path: Path) -> None:
    """The other process has not seen the ticket: there the ledger's claim decides."""
    go = asyncio.Event()
    async with standing(tmp_path, ScriptedEngine("a", go, "b")) as stand:
        lease, body, headers = await stand.prepare(chat())
        claim = await stand.ledger.as_ledger().claim(lease, "another process", lease.bound, now_ms(), now_ms() + 60_000)
        assert claim is Claim.CLAIMED
        response = await stand.http.post(CHAT, content=body, headers=headers)
        await until("the generation is given up", lambda: stand.engine.active == 0)
        assert await stand.record(lease) is None  # it is the other's to settle
        assert await stand.reserved() == 1
    assert response.status_code == 409
    assert response.json()["error"]["code"] == "ticket_used"


async def test_a_lease_that_is_closed_generates_nothing(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        lease, body, headers = await stand.prepare(chat(stream=True))
        assert await stand.ledger.as_ledger().release(lease, now_ms())
        response = await stand.http.post(CHAT, content=body, headers=headers)
        assert await stand.record(lease) is None
    assert response.status_code == 409


async def test_a_refused_request_has_used_its_ticket_up(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        _, body, headers = await stand.prepare(chat(tools=[{"type": "function"}]))
        first = await stand.http.post(CHAT, content=body, headers=headers)
        second = await stand.http.post(CHAT, content=body, headers=headers)
    assert (first.status_code, second.status_code) == (400, 409)


async def test_a_ticket_is_good_again_where_its_lease_could_not_be_taken_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger was away for the claim and for the release: the lease is open still."""
    monkeypatch.setattr("functions.gpu.withdrawal.PAUSES_S", (3_600.0,))
    async with standing(tmp_path, ScriptedEngine("a")) as stand:
        _, body, headers = await stand.prepare(chat())
        stand.ledger.failing = {"claim", "release"}
        first = await stand.http.post(CHAT, content=body, headers=headers)
        stand.ledger.failing = set()
        second = await stand.http.post(CHAT, content=body, headers=headers)
    assert (first.status_code, second.status_code) == (503, 200)
    assert orjson.loads(second.content)["choices"][0]["message"]["content"] == "a"
