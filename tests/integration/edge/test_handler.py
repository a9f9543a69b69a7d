"""The handler as Lambda runs it: a process of its own, real events, and a GPU process behind it."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest

from functions.edge.edge import FAILURES
from functions.edge.security_headers import ALWAYS
from penstock import keys
from penstock.ledger import open_ledger
from penstock.schemas.completion import DONE, event
from penstock.ticket import TicketKeys
from tests.integration.edge.deployment import CHAT, PROMPT, TABLE, TICKET_KEYS, Owner, enrol
from tests.integration.edge.invocations import SHAPES, Answered, Sent, answered
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import ANSWER, JSON, STARTED, Call, StandIn, answer, chunk_of, stream_of

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]


class Function:
    """A Lambda function: one container, invoked once at a time."""

    def __init__(self, process: Process, log: Path, owner: Owner, gpu: StandIn, imported: list[str]) -> None:
        self.process = process
        self.owner = owner
        self.gpu = gpu
        self.imported = imported
        self.kept: list[int] = []
        self._log = log

    async def invoke(self, shape: str, sent: Sent) -> Answered:
        """Invoke it with the request as an event of that shape."""
        return answered(await self.raw(shape, sent))

    async def raw(self, shape: str, sent: Sent) -> Any:
        """The same; the response as Lambda gets it."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps(SHAPES[shape](sent)) + b"\n")
        answer = await read_line(self.process)
        self.kept = answer["kept"]
        return answer["response"]

    async def chat(self, shape: str, as_base64: bool = False, **changes: Any) -> Answered:
        """A chat completion with the owner's key."""
        body = orjson.dumps({**CHAT, **changes})
        headers = {"Content-Type": "application/json", **self.owner.bearer}
        return await self.invoke(shape, Sent("POST", "/v1/chat/completions", headers, "", body, as_base64))

    def log(self) -> str:
        """What it wrote."""
        return self._log.read_text()


async def read_line(process: Process) -> Any:
    """The process's next answer."""
    assert process.stdout is not None
    async with asyncio.timeout(60):
        line = await process.stdout.readline()
    assert line, "the function's process ended"
    return orjson.loads(line)


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Callable[..., Awaitable[Function]]]:
    """Starts a container. Warnings are errors in it; `changes` are environment variables."""
    (tmp_path / "penstock.toml").write_text(TABLE)
    url, log = f"sqlite:///{tmp_path / 'ledger.db'}", tmp_path / "log"
    ledger = await open_ledger(url)
    owner = await enrol(ledger)
    gpu = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    processes: list[Process] = []

    async def run(**changes: str) -> Function:
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "PYTHON"))},
            "PENSTOCK_CONFIG": str(tmp_path / "penstock.toml"),
            "PENSTOCK_LEDGER_URL": url,
            "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
            "PENSTOCK_GPU_URL": gpu_url,
            **changes,
        }
        with log.open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-W", "error", "-m", "tests.integration.edge.lambda_process"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                env=environment,
                cwd=ROOT,
                limit=1 << 24,
            )
        processes.append(process)
        return Function(process, log, owner, gpu, await read_line(process))

    async with serving(gpu) as gpu_url:
        yield run
        for process in processes:
            assert process.stdin is not None
            process.stdin.close()
            async with asyncio.timeout(60):
                await process.wait()
    await ledger.close()


@pytest.fixture
async def function(start: Callable[..., Awaitable[Function]]) -> Function:
    """A function whose container has started."""
    return await start()


async def test_every_shape_of_event(function: Function) -> None:
    """Health, the models with a key and without, a chat, one as base64, a stream, and errors."""
    assert function.imported == []
    for shape in SHAPES:
        health = await function.invoke(shape, Sent("GET", "/health"))
        assert (health.status, health.json) == (200, {"status": "ok"}), shape
        assert health.headers["content-type"] == "application/json"
        assert health.headers["x-request-id"].startswith("req_")

        models = await function.invoke(shape, Sent("GET", "/v1/models", function.owner.bearer))
        assert [model["id"] for model in models.json["data"]] == ["demo", "acme/large", "unpriced", "vectors"], shape
        nobody = await function.invoke(shape, Sent("GET", "/v1/models"))
        assert (nobody.status, nobody.json["error"]["code"]) == (401, "missing_api_key"), shape
        assert nobody.headers["www-authenticate"] == "Bearer"

        for as_base64 in (False, True):
            chat = await function.chat(shape, as_base64)
            assert (chat.status, chat.json["choices"][0]["message"]["content"]) == (200, ANSWER), shape
            assert chat.headers["penstock-delivery"] == "relay"

        stream = await function.chat(shape, stream=True)
        assert stream.headers["content-type"].startswith("text/event-stream"), shape
        assert stream.body == b"".join(stream_of(function.gpu.calls[-1])), shape

        refused = await function.chat(shape, tools=[{"type": "function"}])
        assert (refused.status, refused.json["error"]["param"]) == (400, "tools"), shape
        unknown = await function.invoke(shape, Sent("GET", "/v1/nothing"))
        assert (unknown.status, unknown.json["error"]["code"]) == (404, "not_found"), shape

    # A body from outside ASCII, and a query, in each shape's own encoding.
    for shape in SHAPES:
        usage = await function.invoke(
            shape, Sent("GET", "/v1/usage", function.owner.bearer, "since=2026-01-01&until=2026-01-31")
        )
        assert (usage.json["since"], usage.json["until"]) == ("2026-01-01", "2026-01-31"), shape
        await function.chat(shape, messages=[{"role": "user", "content": "Zürich 😀"}])
        assert orjson.loads(function.gpu.calls[-1].body)["messages"][0]["content"] == "Zürich 😀", shape

    log = function.log()
    lines = [orjson.loads(line) for line in log.splitlines()]
    assert {line["event"] for line in lines} == {"request"}
    assert function.owner.key.reveal() not in log
    assert PROMPT not in log


async def test_events_are_read_as_the_streaming_runtime_reads_them(function: Function) -> None:
    """Mangum by itself would raise at this Host."""
    for shape in ("rest_api", "http_api", "function_url"):
        assert (await function.invoke(shape, Sent("GET", "/health", {"Host": "a:b:c"}))).status == 200


async def test_an_invocation_uses_what_the_one_before_has_opened(function: Function) -> None:
    await function.chat("function_url")
    ledger_and_http = function.kept
    for _ in range(3):
        assert (await function.chat("function_url")).status == 200
        assert function.kept == ledger_and_http
    assert len(function.gpu.peers) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_repeated_invocation_under_an_idempotency_key_is_answered_once(
    function: Function, stream: bool
) -> None:
    headers = {"Content-Type": "application/json", "Idempotency-Key": "order-66", **function.owner.bearer}
    sent = Sent("POST", "/v1/chat/completions", headers, "", orjson.dumps({**CHAT, "stream": stream}))
    first, again = [await function.invoke("function_url", sent) for _ in range(2)]
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["content-type"] == first.headers["content-type"]
    assert again.headers["idempotent-replayed"] == "true"
    assert function.gpu.requests == 1


async def test_health_opens_nothing(start: Callable[..., Awaitable[Function]]) -> None:
    function = await start(PENSTOCK_LEDGER_URL="sqlite:////nowhere/ledger.db")
    assert (await function.invoke("function_url", Sent("GET", "/health"))).status == 200
    ready = await function.invoke("function_url", Sent("GET", "/health/ready"))
    assert (ready.status, ready.json["error"]["code"]) == (503, "ledger_unavailable")
    assert "nowhere" not in ready.body.decode()


async def test_a_crash_is_a_500_that_tells_nothing_and_the_next_invocation_works(
    start: Callable[..., Awaitable[Function]],
) -> None:
    function = await start(LEDGER_CRASHES="unheard-of: hush")
    for shape in SHAPES:
        crash = await function.invoke(shape, Sent("GET", "/v1/models", function.owner.bearer))
        assert (crash.status, crash.json["error"]["code"]) == (500, "internal_error"), shape
        assert (await function.invoke(shape, Sent("GET", "/health"))).status == 200, shape
    assert "hush" not in function.log()
    assert "unheard" not in function.log()
    assert all(orjson.loads(line)["event"] == "request" for line in function.log().splitlines())


async def test_a_stream_that_breaks_off_ends_with_an_error_in_a_whole_answer(function: Function) -> None:
    async def break_midway(call: Call) -> None:
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, "Half")))

    function.gpu.behave = break_midway
    broken = await function.chat("rest_api", stream=True)
    assert broken.status == 200
    assert orjson.loads(broken.body.split(b"\n\n")[-2].removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    assert b"[DONE]" not in broken.body
    function.gpu.behave = answer
    assert (await function.chat("rest_api", stream=True)).body.endswith(DONE)


async def test_an_answer_that_lambda_would_lose_is_a_413(function: Function) -> None:
    """Lambda takes 6 MB of JSON, in which each quote is two bytes."""
    content = '"' * (3 << 20)

    async def answer_at_length(call: Call) -> None:
        await call.respond(200, JSON, orjson.dumps({"choices": [{"message": {"content": content}}]}))

    function.gpu.behave = answer_at_length
    for shape in ("rest_api", "function_url"):
        lost = await function.chat(shape)
        assert (lost.status, lost.json["error"]["code"]) == (413, "answer_too_large"), shape
        assert lost.headers["content-type"] == "application/json"
        assert lost.headers["x-request-id"] == function.gpu.calls[-1].ticket.lease.id
        assert lost.headers["content-length"] == str(len(lost.body))
    assert "answer_too_large" in function.log()
    content = "a" * (5 << 20)
    assert (await function.chat("rest_api")).json["choices"][0]["message"]["content"] == content


async def test_what_is_text_is_not_base64(function: Function) -> None:
    for path, query in (("/health", ""), ("/docs", ""), ("/openapi.json", ""), ("/v1/usage", "format=csv")):
        raw = await function.raw("rest_api", Sent("GET", path, function.owner.bearer, query))
        assert (raw["statusCode"], raw["isBase64Encoded"]) == (200, False), path
    headers = {"Content-Type": "application/json", **function.owner.bearer}
    body = orjson.dumps({**CHAT, "stream": True})
    raw = await function.raw("rest_api", Sent("POST", "/v1/chat/completions", headers, "", body))
    assert raw["isBase64Encoded"] is False
    assert raw["body"].endswith("data: [DONE]\n\n")


async def test_every_answer_has_the_security_headers(function: Function) -> None:
    for sent in (Sent("GET", "/health"), Sent("GET", "/nowhere"), Sent("GET", "/v1/models")):
        answer = await function.invoke("rest_api", sent)
        assert {name: answer.headers[name.lower()] for name in ALWAYS} == ALWAYS
        assert answer.headers["strict-transport-security"] == "max-age=31536000"


@pytest.mark.parametrize("shape", ["alb", "alb_multi_value", "rest_api", "function_url"])
async def test_a_client_cannot_choose_its_address(function: Function, shape: str) -> None:
    """Wrong keys are counted by address. What a client sends as X-Forwarded-For, a load balancer appends to."""
    statuses = set()
    for number in range(FAILURES + 5):
        forged = {"X-Forwarded-For": f"10.0.0.{number}, 198.51.100.7"}
        headers = {"Authorization": f"Bearer {keys.mint().reveal()}", **forged}
        statuses.add((await function.invoke(shape, Sent("GET", "/v1/models", headers))).status)
    assert statuses == {401, 429}


async def test_an_answer_that_takes_too_long_is_a_504_and_ends_at_the_gpu(
    start: Callable[..., Awaitable[Function]],
) -> None:
    function = await start(TIMEOUT_S="10")

    async def take_it_up_and_think(call: Call) -> None:
        await call.claim()
        await call.gone.wait()
        await call.settle()

    function.gpu.behave = take_it_up_and_think
    late = await function.chat("rest_api")
    assert (late.status, late.json["error"]["code"]) == (504, "deadline_exceeded")
    assert late.headers["x-should-retry"] == "false"
    await asyncio.wait_for(function.gpu.calls[-1].gone.wait(), 20)
    function.gpu.behave = answer
    assert (await function.chat("rest_api")).status == 200


async def test_a_model_that_is_not_there_in_time_is_starting(start: Callable[..., Awaitable[Function]]) -> None:
    function = await start(TIMEOUT_S="10")
    function.gpu.proxy = [503] * 100
    cold = await function.chat("rest_api")
    assert (cold.status, cold.json["error"]["code"]) == (503, "model_starting")
    assert int(cold.headers["retry-after"]) > 0


async def test_a_wrong_setting_is_named_and_not_shown(
    start: Callable[..., Awaitable[Function]], tmp_path: Path
) -> None:
    with pytest.raises(AssertionError, match="ended"):
        await start(PENSTOCK_TICKET_KEYS="hush:base64!")
    log = (tmp_path / "log").read_text()
    assert "ConfigError: PENSTOCK_TICKET_KEYS: " in log
    assert "hush" not in log
