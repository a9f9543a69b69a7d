"""The edge under the streaming runtime: in front of a stand-in for the GPU process, and of the process itself."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from penstock.ledger import open_ledger
from penstock.schemas.completion import DONE, event
from penstock.ticket import TicketKeys
from tests.integration.edge.deployment import PROMPT, TABLE, TICKET_KEYS
from tests.integration.edge.edge_stream import Function, deployed
from tests.integration.edge.lambda_runtime import ROOT
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import ANSWER, STARTED, WORDS, Call, StandIn, chunk_of, stream_of
from tests.integration.gpu.running import gpu, ready
from tests.servers.runtime_api import Manner

pytestmark = pytest.mark.anyio

# What Lambda's managed Python has for SnapStart, as far as it is used.
HOOKS = """
_after = []
def register_after_restore(function, *args, **named):
    _after.append((function, args, named))
def get_before_snapshot():
    return []
def get_after_restore():
    return _after
"""
DEMO = f"""
[models.demo]
source = "{ROOT / "models" / "demo"}"
context_length = 512
prices = [{{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40 }}]
"""


@pytest.fixture
async def stand_in(tmp_path: Path) -> AsyncIterator[tuple[Function, StandIn]]:
    """The function in front of a stand-in."""
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    gpu_process = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    async with serving(gpu_process) as url, deployed(tmp_path, url, PENSTOCK_GPU_PUBLIC_URL=url) as function:
        yield function, gpu_process
    await ledger.close()


@pytest.mark.parametrize("shape", ["rest_api", "http_api", "function_url"])
async def test_every_chunk_has_arrived_before_the_next_is_made(stand_in: tuple[Function, StandIn], shape: str) -> None:
    function, gpu_process = stand_in
    heard: asyncio.Queue[None] = asyncio.Queue()

    async def when_heard(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        for chunk in stream_of(call):
            await heard.get()
            await call.part(chunk)
        await call.settle()
        await call.end()

    gpu_process.behave = when_heard
    stream = function.chat(shape=shape)
    async with asyncio.timeout(30):
        await gpu_process.called.wait()
    so_far = b""
    for chunk in stream_of(gpu_process.calls[0]):
        assert stream.body == so_far
        heard.put_nowait(None)
        so_far += chunk
        await stream.wait_for(so_far)
    await stream.done()
    assert stream.prelude["statusCode"] == 200
    assert stream.prelude["headers"]["content-type"].startswith("text/event-stream")
    assert stream.prelude["headers"]["x-request-id"].startswith("req_")
    assert (stream.body, stream.trailers) == (so_far, {})
    assert await function.booked() == len(WORDS)


async def test_answers_that_are_whole_and_refusals(stand_in: tuple[Function, StandIn]) -> None:
    function, _ = stand_in
    whole = await function.chat(stream=False).done()
    assert orjson.loads(whole.body)["choices"][0]["message"]["content"] == ANSWER
    health = await function.runtime.get("/health").done()
    assert (health.prelude["statusCode"], orjson.loads(health.body)) == (200, {"status": "ok"})
    nobody = await function.chat(headers={"Authorization": "Bearer ps_nobody"}).done()
    assert (nobody.prelude["statusCode"], nobody.prelude["headers"]["www-authenticate"]) == (401, "Bearer")
    refused = await function.chat(tools=[{"type": "function"}]).done()
    assert (refused.prelude["statusCode"], orjson.loads(refused.body)["error"]["param"]) == (400, "tools")
    unknown = await function.runtime.get("/v1/nothing").done()
    assert orjson.loads(unknown.body)["error"]["code"] == "not_found"
    direct = await function.chat(headers={"Penstock-Delivery": "direct"}).done()
    assert direct.prelude["statusCode"] == 307
    assert "ticket=" in direct.prelude["headers"]["location"]
    log = function.runtime.log()
    assert {orjson.loads(line)["event"] for line in log.splitlines()} == {"request"}
    assert PROMPT not in log
    assert function.owner.key.reveal() not in log


async def test_connections_live_on_between_invocations(stand_in: tuple[Function, StandIn]) -> None:
    function, gpu_process = stand_in
    for _ in range(5):
        assert (await function.chat().done()).body.endswith(DONE)
    assert len(gpu_process.peers) == 1
    assert function.runtime.api.connections == 1


async def test_a_stream_that_breaks_off_at_the_gpu_ends_with_an_error(stand_in: tuple[Function, StandIn]) -> None:
    function, gpu_process = stand_in

    async def break_midway(call: Call) -> None:
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, "Half")))
        await call.wait_until_heard()

    gpu_process.behave = break_midway
    broken = function.chat()
    await broken.wait_for(b"Half")
    gpu_process.calls[0].heard.set()
    await broken.done()
    assert b'"upstream_error"' in broken.body
    assert DONE not in broken.body
    assert broken.trailers == {}  # the answer is whole: the edge itself has said what went wrong


async def test_the_edge_ends_a_stream_before_its_deadline(stand_in: tuple[Function, StandIn]) -> None:
    function, gpu_process = stand_in

    async def go_on(call: Call) -> None:
        await call.claim()
        if call.streams:
            await call.begin(200, STARTED)
            await call.part(event(chunk_of(call, "Half")))
        await call.gone.wait()
        await call.settle()

    assert (await function.chat().done()).body.endswith(DONE)  # all is open
    gpu_process.behave, gpu_process.calls = go_on, []
    late = await function.chat(how={"timeout": 6.0}).done()
    assert b"Half" in late.body
    assert b'"deadline_exceeded"' in late.body
    assert late.trailers == {}
    async with asyncio.timeout(30):
        await gpu_process.calls[0].gone.wait()
    whole = await function.chat(stream=False, how={"timeout": 6.0}).done()
    assert whole.prelude["statusCode"] == 504
    assert orjson.loads(whole.body)["error"]["code"] == "deadline_exceeded"
    assert function.runtime.logged("deadline_exceeded") == []  # the runtime's own resort was not needed


async def test_a_process_restored_from_a_snapshot_serves(tmp_path: Path) -> None:
    (tmp_path / "snapshot_restore_py.py").write_text(HOOKS)
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    snapstart = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start", "LAMBDA_RUNTIME_DIR": str(tmp_path)}
    gpu_process = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    async with serving(gpu_process) as url, deployed(tmp_path, url, **snapstart) as function:
        async with asyncio.timeout(60):
            await function.runtime.api.snapshot.wait()
        assert gpu_process.requests == 0
        function.runtime.api.restored.set()
        assert (await function.chat().done()).body.endswith(DONE)
    await ledger.close()


async def test_a_connection_that_lambda_breaks_ends_the_gpus_work(stand_in: tuple[Function, StandIn]) -> None:
    function, gpu_process = stand_in

    async def go_on(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        while not call.gone.is_set():
            await call.part(event(chunk_of(call, "on and ")))
            await asyncio.sleep(0.01)

    gpu_process.behave = go_on
    await function.chat(how={"manner": Manner(breaks=4)}).done()
    async with asyncio.timeout(30):
        await gpu_process.calls[0].gone.wait()
    assert orjson.loads((await function.runtime.get("/health").done()).body) == {"status": "ok"}
    assert len(function.runtime.logged("response_refused")) == 1


async def test_the_gpu_process_with_the_demo_model(tmp_path: Path) -> None:
    (tmp_path / "edge").mkdir()
    shared = {"PENSTOCK_LEDGER_URL": f"sqlite:///{tmp_path / 'edge' / 'ledger.db'}"}
    settings = {**shared, "PENSTOCK_MODEL": "demo", "PENSTOCK_TICKET_KEYS": TICKET_KEYS}
    with gpu(tmp_path, table=DEMO, **settings) as process:
        url = f"http://127.0.0.1:{process.port}"
        async with httpx2.AsyncClient(base_url=url, timeout=60) as http, asyncio.timeout(90):
            await ready(http, process)
        async with deployed(tmp_path / "edge", url, DEMO) as function:
            asked: dict[str, Any] = {"seed": 1, "temperature": 0, "stream_options": {"include_usage": True}}
            stream = await function.chat(max_tokens=24, **asked).done()
            whole = await function.chat(max_tokens=24, seed=1, temperature=0, stream=False).done()
            *chunks, usage, last = stream.body.removesuffix(b"\n\n").split(b"\n\n")
            assert last == DONE.strip()
            text = "".join(
                choice["delta"].get("content") or ""
                for chunk in chunks
                for choice in orjson.loads(chunk.removeprefix(b"data: "))["choices"]
            )
            assert text == orjson.loads(whole.body)["choices"][0]["message"]["content"] != ""
            assert len(stream.chunks) > 3  # the prelude, and events on their own
            spent = orjson.loads(usage.removeprefix(b"data: "))["usage"]["completion_tokens"]
            assert await function.booked() in (spent, 2 * spent)


async def test_chunks_of_the_gpu_process_leave_as_they_are_made(tmp_path: Path) -> None:
    """The GPU process itself, with an engine that says one word, and waits for the test before the next."""
    (tmp_path / "edge").mkdir()
    go = tmp_path / "go"
    table = TABLE.replace('source = "nowhere"', 'source = "tiny"')
    settings = {
        "PENSTOCK_LEDGER_URL": f"sqlite:///{tmp_path / 'edge' / 'ledger.db'}",
        "PENSTOCK_MODEL": "demo",
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "GO": str(go),
    }
    with gpu(tmp_path, "tests.integration.gpu.patient:create", table, **settings) as process:
        url = f"http://127.0.0.1:{process.port}"
        async with httpx2.AsyncClient(base_url=url, timeout=60) as http, asyncio.timeout(90):
            await ready(http, process)
        async with deployed(tmp_path / "edge", url) as function:
            stream = function.chat()
            await stream.wait_for(b'"content":"a"')
            assert b'"content":"b"' not in stream.body
            go.touch()
            await stream.wait_for(b'"content":"b"')
            assert (await stream.done()).body.endswith(DONE)
            assert await function.booked() == 3  # with the end's
