"""The supervisor with real processes of its own, which serve stand-ins for the edge and the GPU process."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx2
import pytest

from penstock.cli.failure import Failure
from penstock.cli.serving import supervisor as supervisor_module
from penstock.cli.serving.keeper import TRIES
from penstock.cli.serving.log_file import LogFile
from penstock.cli.serving.port import Port
from penstock.cli.serving.process import Program, served
from penstock.cli.serving.supervisor import Supervisor
from penstock.clock import now_ms
from penstock.ledger import Account, Bound, Caller, Key, Lease, Ledger, open_ledger
from penstock.prices import Price
from tests.integration.cli.command import environment

pytestmark = pytest.mark.anyio

PATIENCE = 60.0  # seconds


class Stand:
    """A supervisor of one stand-in, what it said, and the way to the stand-in."""

    def __init__(self, folder: Path, app: str, ledger: Ledger, grace: int) -> None:
        self.lines: list[str] = []
        self.port = Port("127.0.0.1", 0)
        self.log = LogFile(folder / "stand.log")
        name = f"tests.integration.cli.stand_in:{app}"
        program = served("stand-in", name, self.port, environment=environment(), log=self.log, grace=grace)
        self.supervisor = Supervisor([program], ledger, self.lines.append)

    async def pid(self) -> int:
        """The process id of who answers."""
        async with httpx2.AsyncClient(trust_env=False) as client:
            return int((await client.get(self.port.url(), timeout=PATIENCE)).text)

    async def ready(self) -> int:
        """Wait until it is up; its process id."""
        await asyncio.wait_for(self.supervisor.keepers[0].ready.wait(), PATIENCE)
        return await self.pid()

    async def said(self, words: str) -> str:
        """Wait for a line that holds the words."""
        async with asyncio.timeout(PATIENCE):
            while not (found := [line for line in self.lines if words in line]):
                await asyncio.sleep(0.02)
        return found[-1]


@asynccontextmanager
async def standing(folder: Path, app: str = "working", grace: int = 5) -> AsyncIterator[Stand]:
    ledger = await open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    stand = Stand(folder, app, ledger, grace)
    stand.supervisor.start()
    try:
        yield stand
    finally:
        await stand.supervisor.stop()
        await ledger.close()


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_a_killed_process_is_started_again_on_its_port(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        first = await stand.ready()
        os.kill(first, signal.SIGKILL)
        line = await stand.said("started again")
        assert line.startswith("The stand-in was killed by SIGKILL. It is started again in ")
        await stand.said("ready again")
        second = await stand.pid()
        assert second != first
        os.kill(second, signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            while len(stand.lines) < 4:
                await asyncio.sleep(0.02)
        assert await stand.pid() not in {first, second}
    assert len(stand.lines) == 4


async def test_nobody_is_there_while_it_is_dead_and_nobody_else_gets_the_port(tmp_path: Path) -> None:
    async with standing(tmp_path) as stand:
        os.kill(await stand.ready(), signal.SIGKILL)
        await stand.said("started again")
        number = int(stand.port.url().rpartition(":")[2])
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", number)
        with socket.socket() as other, pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", number))


async def test_one_that_does_not_start_is_given_up_with_its_last_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("penstock.cli.serving.keeper._FIRST_DELAY", 0.01)
    async with standing(tmp_path, "broken") as stand:
        with pytest.raises(Failure, match=r"stand-in does not start \(5 tries\): .*ValueError: the stand-in is broken"):
            await asyncio.wait_for(stand.supervisor.failure(), PATIENCE)
        assert len(stand.lines) == 4


async def test_a_model_that_cannot_be_read_is_not_tried_twice(tmp_path: Path) -> None:
    async with standing(tmp_path, "unreadable") as stand:
        with pytest.raises(Failure, match=r"^the model cannot be read: no weights in the folder$"):
            await asyncio.wait_for(stand.supervisor.failure(), PATIENCE)
        assert stand.lines == []


async def test_stopping_gives_running_requests_their_grace_and_no_more(tmp_path: Path) -> None:
    async with standing(tmp_path, grace=1) as stand:
        pid = await stand.ready()
        async with (
            httpx2.AsyncClient(trust_env=False) as client,
            client.stream("GET", f"{stand.port.url()}/slow") as response,
        ):
            assert await anext(response.aiter_text()) == str(pid)
            await asyncio.wait_for(stand.supervisor.stop(), PATIENCE)
        assert not alive(pid)
        with pytest.raises(OSError, match="descriptor"):
            stand.port.url()


async def test_killing_does_not_wait(tmp_path: Path) -> None:
    async with standing(tmp_path, grace=int(PATIENCE)) as stand:
        pid = await stand.ready()
        async with (
            httpx2.AsyncClient(trust_env=False) as client,
            client.stream("GET", f"{stand.port.url()}/slow") as response,
        ):
            await anext(response.aiter_text())
            stopping = asyncio.create_task(stand.supervisor.stop())
            stand.supervisor.kill()
            await asyncio.wait_for(stopping, PATIENCE / 2)
        assert not alive(pid)


class Portless:
    """A program that serves no port: it writes what it is to its log, and ends with its tether, or at once."""

    def __init__(self, folder: Path, how: str, niceness: int = 0) -> None:
        self.log = LogFile(folder / "portless.log")
        self.program = Program(
            *("portless", environment(), self.log, 5, "tests.integration.cli.portless", (how,)), niceness=niceness
        )

    async def lives(self, count: int) -> list[int]:
        """Wait for so many lives; the process id of each."""
        async with asyncio.timeout(PATIENCE):
            while len(lines := self.log.path.read_text().splitlines() if self.log.size() else []) < count:
                await asyncio.sleep(0.02)
        return list(map(int, lines))


@asynccontextmanager
async def supervised(portless: Portless, folder: Path, said: list[str]) -> AsyncIterator[Supervisor]:
    ledger = await open_ledger(f"sqlite:///{folder / 'ledger.db'}")
    supervisor = Supervisor([portless.program], ledger, said.append)
    supervisor.start()
    try:
        yield supervisor
    finally:
        await supervisor.stop()
        await ledger.close()


async def test_a_program_without_a_port_is_kept_too_and_yields_to_others(tmp_path: Path) -> None:
    portless, said = Portless(tmp_path, "stay", niceness=7), list[str]()
    async with supervised(portless, tmp_path, said) as supervisor:
        await asyncio.wait_for(supervisor.keepers[0].ready.wait(), PATIENCE)
        (first,) = await portless.lives(1)
        os.kill(first, signal.SIGKILL)
        _, second = await portless.lives(2)
        assert second != first
        async with asyncio.timeout(PATIENCE):
            while os.getpriority(os.PRIO_PROCESS, second) != 7:
                await asyncio.sleep(0.02)
    assert not alive(second)
    (line,) = said
    assert line.startswith("The portless was killed by SIGKILL. It is started again in ")


async def test_and_never_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penstock.cli.serving.keeper._FIRST_DELAY", 0.01)
    portless, said = Portless(tmp_path, "end"), list[str]()
    async with supervised(portless, tmp_path, said) as supervisor:
        failing = asyncio.create_task(supervisor.failure())
        await portless.lives(TRIES + 2)
        assert not failing.done()
        failing.cancel()
    assert all(line.startswith("The portless ended with code 4") for line in said)


async def test_dead_leases_are_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor_module, "HOUSEKEEPING_EVERY", 0.05)
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    account, key = Account("local", "local", 0), Key("k", "local", "", "0" * 64, 0)
    await ledger.create_account(account)
    await ledger.create_key(key)
    async with standing(tmp_path) as stand:
        await stand.ready()
        now = now_ms()
        lease = Lease("req_1", "local", "k", "m", Bound(10, 10), Price("1", 1, 1, 1), now, now)
        await ledger.reserve(Caller(account, key), lease)
        async with asyncio.timeout(PATIENCE):
            while await ledger.release(lease, now_ms()):
                await ledger.reserve(Caller(account, key), lease)
                await asyncio.sleep(0.1)
    await ledger.close()
