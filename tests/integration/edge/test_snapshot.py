"""The function before its first request, and after a rest: nothing is sent before, and nothing fails after."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiobotocore.session import get_session
from botocore.loaders import JSONFileLoader

from penstock import parameter_store
from penstock.ledger import open_ledger, prime_ledger
from penstock.ticket import TicketKeys
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import TABLE, TICKET_KEYS, enrol
from tests.integration.edge.invocations import Sent
from tests.integration.edge.line import Line, line_to
from tests.integration.edge.serving import serving
from tests.integration.edge.stand_in import StandIn
from tests.integration.edge.test_handler import ROOT, Function, read_line
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

PARAMETER = "/penstock/snapshot/ticket-keys"
Start = Callable[..., Awaitable[Function]]


@pytest.fixture
async def parameter(anyio_backend: str, dynamodb: str | None) -> AsyncIterator[str]:
    """A reference to the signing keys in SSM."""
    async with get_session().create_client("ssm") as client:
        await client.put_parameter(Name=PARAMETER, Value=TICKET_KEYS, Type="SecureString", Overwrite=True)
        yield f"ssm:{PARAMETER}"
        await client.delete_parameter(Name=PARAMETER)


@pytest.fixture
async def gpu_line(dynamodb_url: str) -> AsyncIterator[tuple[StandIn, Line, str, Any]]:
    """A GPU process behind a line, with the ledger that it shares with the edge, and the owner of a key."""
    ledger = await open_ledger(dynamodb_url)
    owner = await enrol(ledger)
    gpu = StandIn(TicketKeys.parse(TICKET_KEYS), ledger)
    async with serving(gpu) as gpu_url, line_to(gpu_url) as (line, url):
        yield gpu, line, url, owner
    await ledger.close()


@pytest.fixture
async def start(
    gpu_line: tuple[StandIn, Line, str, Any], dynamodb_url: str, parameter: str, tmp_path: Path
) -> AsyncIterator[Start]:
    """Starts a container, with the environment as it is then."""
    gpu, _, gpu_url, owner = gpu_line
    (tmp_path / "penstock.toml").write_text(TABLE)
    processes: list[Process] = []

    async def run() -> Function:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")} | {
            "PENSTOCK_CONFIG": str(tmp_path / "penstock.toml"),
            "PENSTOCK_LEDGER_URL": dynamodb_url,
            "PENSTOCK_TICKET_KEYS": parameter,
            "PENSTOCK_GPU_URL": gpu_url,
        }
        with (tmp_path / "log").open("ab") as errors:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "tests.integration.edge.lambda_process"),
                stdin=PIPE,
                stdout=PIPE,
                stderr=errors,
                env=environment,
                cwd=ROOT,
                limit=1 << 24,
            )
        processes.append(process)
        return Function(process, tmp_path / "log", owner, gpu, await read_line(process))

    yield run
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        async with asyncio.timeout(60):
            await process.wait()


async def test_a_function_that_is_ready_has_sent_nothing(start: Start, dynamodb_proxy: Proxy) -> None:
    function = await start()
    assert (await function.invoke("rest_api", Sent("GET", "/health"))).status == 200
    assert dynamodb_proxy.requests.total() == 0
    assert "not_primed" not in function.log()
    assert (await function.chat("rest_api")).status == 200
    assert dynamodb_proxy.requests["GetParameters"] == 1
    assert dynamodb_proxy.requests["DescribeTable"] == 1


async def test_connections_that_were_closed_during_a_rest_fail_no_request(
    start: Start,
    gpu_line: tuple[StandIn, Line, str, Any],
    dynamodb: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Between invocations the event loop does not run: it hears of a closed connection when it wants to use it."""
    assert dynamodb is not None
    gpu, to_the_gpu, _, _ = gpu_line
    async with line_to(dynamodb) as (to_the_ledger, url):
        with monkeypatch.context() as environment:
            environment.setenv("AWS_ENDPOINT_URL", url)
            function = await start()
        for shape in ("rest_api", "function_url"):
            for number in range(3):
                answer = await function.chat(shape, stream=number == 2)
                assert answer.status == 200, answer.body
                await to_the_ledger.cut()
                await to_the_gpu.cut()
        assert gpu.requests == len(gpu.calls) == 6
        assert to_the_gpu.connections == 6
        assert to_the_ledger.connections > 6


async def test_what_a_first_client_is_made_from_is_read_beforehand(
    dynamodb_url: str, parameter: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await prime_ledger(dynamodb_url)
    await parameter_store.prime()
    read: list[str] = []
    load = JSONFileLoader.load_file

    def noted(self: Any, path: str) -> Any:
        read.append(path)
        return load(self, path)

    monkeypatch.setattr(JSONFileLoader, "load_file", noted)
    await (await open_ledger(dynamodb_url)).close()
    assert await parameter_store.read_parameters([PARAMETER]) == {PARAMETER: TICKET_KEYS}
    assert read == []


async def test_priming_looks_for_no_credentials(dynamodb: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    # Where SnapStart has them. Nobody listens there: a look would fail.
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/credentials")
    await prime_ledger("dynamodb://any-table")
    await parameter_store.prime()


async def test_a_renewed_edge_has_new_connections_and_looks_anew(deploy: Deploy) -> None:
    deployment = await deploy(caller_cache_s=60.0)
    edge = deployment.edge
    assert (await deployment.chat()).status_code == 200
    assert not edge.callers.costs(deployment.owner.key.id)
    http = edge.http()
    await edge.renew()
    assert http.closed
    assert edge.callers.costs(deployment.owner.key.id)
    assert edge.switches.costs("")
    assert (await deployment.chat()).status_code == 200
    assert len(deployment.gpu.peers) == 2
