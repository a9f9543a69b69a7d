"""The process itself, as it is deployed: uvicorn, the factory, the environment, a real model."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import orjson
import pytest

from penstock.admission import Demand, admit, new_request_id
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Caller, Key, Ledger, Reserved, open_ledger
from penstock.models import read_models
from penstock.ticket import Ticket, TicketKeys, hash_body
from tests.integration.gpu.stand import CHAT, TICKET_KEYS, chat, events, text_of, until
from tests.tiny_model import make_tiny_model

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
TABLE = """
[models.tiny]
source = "tiny"
context_length = 256
[[models.tiny.prices]]
effective = 2026-01-01
prompt = 0.10
cached_prompt = 0.05
completion = 0.40
"""
SECRET_PROMPT = "the heron stands at the sluice"


@dataclass
class Gpu:
    """A GPU process and what it wrote."""

    process: "subprocess.Popen[bytes]"
    folder: Path
    port: int

    def output(self) -> str:
        """Standard output and standard error."""
        return (self.folder / "out").read_text() + (self.folder / "err").read_text()

    def lines(self) -> list[dict[str, Any]]:
        """The log, which is all of standard output."""
        return [orjson.loads(line) for line in (self.folder / "out").read_text().splitlines()]


@contextmanager
def gpu(folder: Path, **environment: str) -> Iterator[Gpu]:
    """The process, on a free port, for as long as the block runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "penstock.toml").write_text(TABLE)
    settings = {
        "PENSTOCK_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_CONFIG": str(folder / "penstock.toml"),
        "PENSTOCK_MODEL": "tiny",
        "PENSTOCK_THREADS": "1",
    }
    command = [sys.executable, "-m", "uvicorn", "--factory", "functions.gpu.server:create_app", "--no-access-log"]
    with (folder / "out").open("wb") as out, (folder / "err").open("wb") as err:
        process = subprocess.Popen(
            [*command, "--port", str(port), "--timeout-graceful-shutdown", "5"],
            cwd=ROOT,
            env={**os.environ, **settings, **environment},
            stdout=out,
            stderr=err,
        )
    try:
        yield Gpu(process, folder, port)
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny model's folder."""
    return make_tiny_model(tmp_path_factory.mktemp("tiny"))


async def ticket(ledger: Ledger, caller: Caller, config: Path, body: bytes) -> str:
    """A ticket for the body, on a new reservation."""
    model = read_models(config).get("tiny")
    assert model is not None
    demand = Demand(prompt_bytes=len(body), messages=1, max_tokens=None)
    outcome = await admit(ledger, caller, model, demand, request_id=new_request_id(), now=now_ms(), claim_within_s=60)
    assert isinstance(outcome, Reserved)
    signed = Ticket(outcome.lease, hash_body(body), now_ms() + 60 * SECOND)
    return TicketKeys.parse(TICKET_KEYS).sign(signed)


async def ready(http: httpx2.AsyncClient, running: Gpu) -> None:
    """Wait until it takes requests."""
    while True:
        assert running.process.poll() is None, running.output()
        try:
            if (await http.get("/health/ready")).status_code == 200:
                return
        except httpx2.TransportError:
            await asyncio.sleep(0.05)


async def test_a_real_model_answers_and_nothing_secret_is_logged(tmp_path: Path, tiny: Path) -> None:
    (tmp_path / "tiny").symlink_to(tiny)
    with gpu(tmp_path) as running:
        ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
        caller = Caller(Account("acme", "Acme", now_ms()), Key("key_1", "acme", "laptop", "0" * 64, now_ms()))
        await ledger.create_account(caller.account)
        await ledger.create_key(caller.key)
        tickets: list[str] = []

        async def post(request: dict[str, Any], *, in_query: bool = False) -> httpx2.Response:
            body = orjson.dumps({**request, "model": "tiny"})
            tickets.append(await ticket(ledger, caller, tmp_path / "penstock.toml", body))
            where: dict[str, Any] = (
                {"params": {"ticket": tickets[-1]}} if in_query else {"headers": {"Penstock-Ticket": tickets[-1]}}
            )
            return await http.post(CHAT, content=body, **where)

        asked = chat(SECRET_PROMPT, max_tokens=12, seed=3)
        async with httpx2.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=60) as http:
            await ready(http, running)
            whole = await post(asked)
            streamed = await post({**asked, "stream": True, "stream_options": {"include_usage": True}})
            direct = await post(asked, in_query=True)
            await http.post(CHAT, params={"ticket": tickets[0]}, content=b"{}")
            await http.post(CHAT, params={"ticket": "x.y.z"}, content=SECRET_PROMPT.encode())
            await http.get(f"/v1/{SECRET_PROMPT}", params={"ticket": tickets[0]})
            await post(chat(SECRET_PROMPT * 20))
        records = await ledger.records()
        await ledger.close()
        running.process.send_signal(signal.SIGTERM)
        await until("it stops", lambda: running.process.poll() is not None)
        lines, output = running.lines(), running.output()

    answer = whole.json()["choices"][0]["message"]["content"]
    *_, usage, done = events(streamed.text)
    assert done == "[DONE]"
    assert text_of(events(streamed.text)) == answer == direct.json()["choices"][0]["message"]["content"]
    assert usage["usage"] == whole.json()["usage"]
    assert {(record.usage.prompt_tokens, record.usage.completion_tokens) for record in records} == {
        (usage["usage"]["prompt_tokens"], usage["usage"]["completion_tokens"])
    }
    assert len(records) == 3
    requests = [line for line in lines if line["event"] == "request"]
    assert len(requests) == 7
    assert {line["process"] for line in lines} == {"gpu"}
    assert requests[0].keys() >= {
        *("request_id", "account", "key_id", "model", "prompt_tokens", "completion_tokens"),
        *("duration_ms", "ttft_ms", "outcome", "status"),
    }
    secrets = [SECRET_PROMPT, "heron", answer, *tickets, *(one.split(".")[2] for one in tickets), TICKET_KEYS[5:]]
    assert [secret for secret in secrets if secret in output] == []


@pytest.mark.parametrize(
    ("environment", "event", "says"),
    [
        ({}, "model_unreadable", "tiny"),
        ({"PENSTOCK_MODEL": "absent"}, "startup_failed", "absent"),
        ({"PENSTOCK_CONFIG": "/nowhere/penstock.toml"}, "startup_failed", "/nowhere/penstock.toml"),
        ({"PENSTOCK_TICKET_KEYS": "a:c2hvcnQ="}, "startup_failed", "PENSTOCK_TICKET_KEYS"),
        ({"PENSTOCK_LEDGER_URL": "sqlite:////nowhere/at/all.db"}, "startup_failed", "/nowhere/at/all.db"),
        ({"PENSTOCK_LEDGER_URL": "ftp://ledger"}, "startup_failed", "ftp"),
    ],
)
async def test_a_start_that_fails_is_one_line_and_code_3(
    tmp_path: Path, environment: dict[str, str], event: str, says: str
) -> None:
    (tmp_path / "tiny").mkdir()
    with gpu(tmp_path, **environment) as running:
        await until("it ends", lambda: running.process.poll() is not None)
        code, (line,) = running.process.returncode, running.lines()
        output = running.output()
    assert code == 3
    assert line["event"] == event
    assert says in line["error"]
    assert "\n" not in line["error"]
    assert "Traceback" not in output
    assert "c2hvcnQ=" not in output
