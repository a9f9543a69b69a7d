"""Direct calls: admitted in the process that serves them, told the same, booked the same, ended with their caller."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from functions.gpu.direct import Direct
from functions.gpu.engine import EngineError
from functions.gpu.process import Process
from functions.gpu.server import app_of
from penstock import keys
from penstock.admission import request_id_of
from penstock.clock import now_ms
from penstock.errors import ApiError
from penstock.ledger import Account, Key, Ledger, Limits, Switch, Usage, UsageRecord, open_ledger
from penstock.settings import GpuSettings
from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS, chat, completion, embedding, until

pytestmark = pytest.mark.anyio

KEY = keys.mint()


@dataclass
class Called:
    """A process that is called, and its ledger."""

    direct: Direct
    process: Process
    ledger: Ledger
    engine: ScriptedEngine

    async def whole(self, request: dict[str, Any], *, call: str = "in-1", **options: Any) -> dict[str, Any]:
        """A whole answer, paid with KEY where nothing else is said."""
        return await self.direct.whole(request, **{"api_key": KEY.reveal(), **options}, call=call)

    async def refusal(self, request: dict[str, Any], **options: Any) -> ApiError:
        """What a call is refused with."""
        with pytest.raises(ApiError) as refused:
            await self.whole(request, **options)
        return refused.value

    async def record(self, call: str = "in-1") -> UsageRecord | None:
        """What was booked for a call."""
        return await self.ledger.record(request_id_of(call))


@asynccontextmanager
async def calling(folder: Path, *script: Any, limits: Limits | None = None, **settings: Any) -> AsyncIterator[Called]:
    """A process for as long as the block runs, that does its account's accounts."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = await open_ledger(url)
    await ledger.create_account(Account("acme", "Acme", SINCE, limits=limits or Limits()))
    await ledger.create_key(Key(KEY.id, "acme", "laptop", KEY.digest(), SINCE))
    parts = GpuSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, model="demo", **settings)
    engine = ScriptedEngine(*script)
    process = Process(parts, engine, await open_ledger(url))
    assert await process.start()
    try:
        yield Called(Direct(app_of(process), process), process, ledger, engine)
    finally:
        await process.stop()
        await ledger.close()


async def test_every_route_is_answered_and_booked(tmp_path: Path) -> None:
    async with calling(tmp_path, "lo", " you") as called:
        talked = await called.whole(chat("Hel"), call="chat")
        told = await called.whole(completion("Hel"), call="completion")
        embedded = await called.whole(embedding(["a", "bc"]), call="embedding")
        booked = [await called.record(call) for call in ("chat", "completion", "embedding")]
    assert talked["choices"][0]["message"]["content"] == "lo you"
    assert told["choices"][0]["text"] == "lo you"
    assert len(embedded["data"]) == 2
    for answer, record in zip((talked, told, embedded), booked, strict=True):
        assert record is not None
        assert record.usage.prompt_tokens == answer["usage"]["prompt_tokens"]
        assert record.usage.total_tokens == answer["usage"]["total_tokens"]
        assert (record.account_id, record.key_id, record.outcome) == ("acme", KEY.id, "completed")


async def test_the_model_need_not_be_said_and_another_is_not_found(tmp_path: Path) -> None:
    async with calling(tmp_path, "!") as called:
        answer = await called.whole({"messages": [{"role": "user", "content": "hi"}]})
        refused = await called.refusal({**chat(), "model": "another"}, call="in-2")
    assert answer["model"] == "demo"
    assert (refused.status, refused.code, refused.param) == (404, "model_not_found", "model")


async def test_a_stream_says_its_id_first_and_then_several_tokens_an_item(tmp_path: Path) -> None:
    gates = [asyncio.Event() for _ in range(2)]
    script = ("a", "b", gates[0], *"cdefgh", gates[1], "i")
    async with calling(tmp_path, *script) as called:
        request = {**chat(), "stream_options": {"include_usage": True}}
        items: list[Any] = []
        async for item in called.direct.stream(request, api_key=KEY.reveal(), call="in-1"):
            items.append(item)
            for gate in gates:
                gate.set()
        record = await called.record()
    assert items[0] == request_id_of("in-1")
    chunks = [chunk for item in items[1:] for chunk in item]
    text = "".join(choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"])
    assert text == "abcdefghi"
    assert len(items) - 1 < len(chunks)
    assert chunks[-1]["usage"]["completion_tokens"] == 10
    assert record is not None
    assert record.usage.completion_tokens == 10


@pytest.mark.parametrize("how", ["closed", "cancelled"])
async def test_a_stream_that_is_left_stops_and_is_settled_before_it_is_gone(tmp_path: Path, how: str) -> None:
    async with calling(tmp_path, "a", "b", asyncio.Event()) as called:
        said = asyncio.Event()

        async def read() -> None:
            async with aclosing(called.direct.stream(chat(), api_key=KEY.reveal(), call="in-1")) as items:
                async for item in items:
                    if not isinstance(item, str) and any("content" in c["choices"][0]["delta"] for c in item):
                        said.set()
                        if how == "closed":
                            break

        reading = asyncio.create_task(read())
        await said.wait()
        if how == "cancelled":
            reading.cancel()
        await asyncio.wait({reading})
        assert reading.cancelled() is (how == "cancelled")
        assert called.engine.active == 0
        record = await called.record()
    assert record is not None
    assert record.outcome == "cancelled"
    assert record.usage.completion_tokens == 2


async def test_an_answer_that_fails_in_the_middle_is_told_and_booked(tmp_path: Path) -> None:
    async with calling(tmp_path, "a", EngineError("no")) as called:
        with pytest.raises(ApiError) as failed:
            _ = [item async for item in called.direct.stream(chat(), api_key=KEY.reveal(), call="in-1")]
        record = await called.record()
    assert failed.value.code == "engine_error"
    assert record is not None
    assert record.usage.completion_tokens == 1


async def test_who_may_not_is_told_as_over_https(tmp_path: Path) -> None:
    async with calling(tmp_path, "!") as called:
        wrong = await called.refusal(chat(), api_key=keys.mint().reveal())
        none = await called.refusal(chat(), api_key=None)
        malformed = await called.refusal(chat(), api_key="sk-123")
        await called.ledger.set_key(KEY.id, limits=Limits(), models=frozenset({"other"}), routes=None)
        scope = await called.refusal(chat())
        await called.ledger.set_key(KEY.id, limits=Limits(), models=None, routes=frozenset({"embeddings"}))
        route = await called.refusal(chat())
        await called.ledger.set_key(KEY.id, limits=Limits(), models=None, routes=None)
        await called.ledger.set_switch(Switch(on=False, reason="moving"))
        off = await called.refusal(chat())
        await called.ledger.set_switch(Switch())
        await called.ledger.revoke_key(KEY.id, now_ms())
        revoked = await called.refusal(chat())
        records = await called.ledger.records()
    assert [(e.status, e.code) for e in (wrong, none, malformed, scope, route, off, revoked)] == [
        (401, "invalid_api_key"),
        (401, "missing_api_key"),
        (401, "invalid_api_key"),
        (403, "permission_denied"),
        (403, "route_not_allowed"),
        (503, "service_off"),
        (401, "invalid_api_key"),
    ]
    assert records == []
    assert called.engine.begun == []


async def test_without_a_key_the_service_key_pays(tmp_path: Path) -> None:
    async with calling(tmp_path, "!", service_key_id=KEY.id) as called:
        await called.whole(chat(), api_key=None)
        record = await called.record()
    assert record is not None
    assert record.key_id == KEY.id


async def test_limits_hold_and_a_refusal_has_its_numbers(tmp_path: Path) -> None:
    async with calling(tmp_path, "!", limits=Limits(monthly_budget=1)) as called:
        refused = await called.refusal(chat())
    assert (refused.status, refused.code) == (402, "budget_exceeded")
    assert refused.envelope()["error"]["limit"]["remaining"] == 1


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        ({"model": "demo"}, None),
        (chat(temperature="hot"), "temperature"),
        (chat(stream=True), "stream"),
        (chat(frequency=1), "frequency"),
        (chat(max_tokens=5_000), "max_tokens"),
        ({**chat(), "user": object()}, None),
    ],
)
async def test_what_cannot_be_read_is_refused_by_name(tmp_path: Path, request_: dict[str, Any], param: Any) -> None:
    async with calling(tmp_path, "!") as called:
        refused = await called.refusal(request_)
        assert (refused.status, refused.param) == (400, param)
        assert await called.ledger.records() == []


async def test_a_request_that_was_never_taken_up_costs_nothing(tmp_path: Path) -> None:
    async with calling(tmp_path, "!", limits=Limits(concurrent_requests=1, monthly_budget=10**9)) as called:
        called.engine.refusal = EngineError("before it began")
        refused = await called.refusal(chat())
        called.engine.refusal = None
        answer = await called.whole(chat(), call="in-2")  # the one slot is free again
    assert refused.status == 500
    assert answer["choices"][0]["message"]["content"] == "!"


async def test_a_call_that_is_delivered_again_is_not_paid_twice(tmp_path: Path) -> None:
    async with calling(tmp_path, "!") as called:
        await called.whole(chat())
        first = await called.record()
        again = await called.refusal(chat())
        assert await called.record() == first
    assert (again.status, again.code) == (502, "interrupted")


async def test_a_call_whose_first_delivery_still_holds_it_is_told(tmp_path: Path) -> None:
    gate = asyncio.Event()
    async with calling(tmp_path, "a", gate) as called:
        running = asyncio.create_task(called.whole(chat()))
        await until("it runs", lambda: called.engine.begun)
        await asyncio.sleep(0.05)
        again = await called.refusal(chat())
        gate.set()
        answer = await running
        record = await called.record()
    assert (again.status, again.code) == (502, "interrupted")
    assert record is not None
    assert record.usage == replace(
        Usage(), prompt_tokens=answer["usage"]["prompt_tokens"], completion_tokens=answer["usage"]["completion_tokens"]
    )


async def test_a_process_that_stops_takes_no_calls(tmp_path: Path) -> None:
    async with calling(tmp_path, "!") as called:
        await called.process.stop()
        refused = await called.refusal(chat())
    assert (refused.status, refused.code) == (503, "model_starting")
