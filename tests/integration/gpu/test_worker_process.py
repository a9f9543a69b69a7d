"""A worker process: orders as lines, and a death at any moment, after which another process goes on."""

import os
import select
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.batches.addresses import shard_done
from penstock.batches.log import Begun, entries, results, unended
from penstock.batches.orders import Outcome
from penstock.ledger import Account, Key, Ledger, open_ledger
from penstock.objects import Objects, open_objects
from tests.integration.gpu.shard_stand import BATCH, agreed, chats, order, put_shard
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS, until

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120.0  # a busy machine starts torch slowly


@dataclass
class Spoken:
    """A worker process, and what is said with it."""

    process: "subprocess.Popen[bytes]"
    errors: Path

    def give(self, said: Any) -> None:
        """Write a line."""
        assert self.process.stdin is not None
        self.process.stdin.write((said if isinstance(said, bytes) else orjson.dumps(said)) + b"\n")
        self.process.stdin.flush()

    def heard(self) -> Any:
        """The next line that it says; the test fails where there is none."""
        assert self.process.stdout is not None
        readable, _, _ = select.select([self.process.stdout], [], [], PATIENCE_S)
        assert readable, "it says nothing"
        line = self.process.stdout.readline()
        assert line, self.errors.read_text()
        return orjson.loads(line)

    def ends(self) -> int:
        """Its exit code, once its input has ended."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(PATIENCE_S)


@contextmanager
def worker_process(folder: Path, **environment: str) -> Iterator[Spoken]:
    """A worker process of the demo model, for as long as the block runs; its input ends with this process."""
    settings = {
        "PENSTOCK_LEDGER_URL": f"sqlite:///{folder / 'ledger.db'}",
        "PENSTOCK_OBJECTS_URL": f"file://{folder / 'objects'}",
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_CONFIG": str(CONFIG),
        "PENSTOCK_MODEL": "demo",
        "PENSTOCK_THREADS": "1",
    }
    errors = folder / f"errors-{time.monotonic_ns()}"
    with errors.open("wb") as written:
        process = subprocess.Popen(
            [sys.executable, "-m", "functions.gpu.worker_process"],
            cwd=ROOT,
            env={**os.environ, **settings, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,  # what is not read yet is in the pipe, where `select` sees it
            stderr=written,
        )
    try:
        with process:
            yield Spoken(process, errors)
            process.kill()
    finally:
        process.kill()
        process.wait()


@dataclass
class Stores:
    """What the processes work with, seen from outside."""

    ledger: Ledger
    objects: Objects


@pytest.fixture
async def stores(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Stores]:
    """A ledger with an account, and a folder for objects."""
    ledger = await open_ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    await ledger.create_account(Account("acme", "Acme", SINCE))
    await ledger.create_key(Key("key_1", "acme", "laptop", "0" * 64, SINCE))
    objects = await open_objects(f"file://{tmp_path / 'objects'}")
    yield Stores(ledger, objects)
    await objects.close()
    await ledger.close()


async def test_a_process_that_is_killed_in_the_middle_is_taken_over(tmp_path: Path, stores: Stores) -> None:
    await put_shard(stores.objects, chats(200, max_tokens=16))
    with worker_process(tmp_path) as first:
        assert first.heard()["ready"] is True
        first.give({"id": "1", "order": order()})
        await until("some lines are done", lambda: len(list(tmp_path.glob("objects/work/*/logs/*/*"))) >= 6, PATIENCE_S)
        first.process.kill()
        first.process.wait()
    log = [entry async for entry in entries(stores.objects, BATCH, 0)]
    done = results(log)
    assert 0 < len(done) < 200
    with worker_process(tmp_path) as second:
        second.heard()
        second.give({"id": "2", "order": order()})
        said = second.heard()
        assert second.ends() == 0
    outcome = Outcome.read(said["outcome"])
    assert (said["id"], outcome.completed, outcome.failed) == ("2", 200, 0)
    log = [entry async for entry in entries(stores.objects, BATCH, 0)]
    assert {line: result for line, result in results(log).items() if line in done} == done
    assert await agreed(stores.ledger, stores.objects, 0) == outcome.usage
    begun_again = [begun.lines for begun in unended(log)]
    assert begun_again  # what the first one had under way when it died, and billed to nobody
    assert sum(isinstance(entry, Begun) for entry in log) > len(begun_again)


async def test_orders_are_answered_as_they_come_and_its_inputs_end_is_its_own(tmp_path: Path, stores: Stores) -> None:
    for shard in range(2):
        await put_shard(stores.objects, chats(5, max_tokens=4), shard)
    await put_shard(stores.objects, chats(64, max_tokens=900), 2)
    with worker_process(tmp_path) as spoken:
        assert spoken.heard().keys() == {"ready", "model", "seconds"}
        spoken.give(b"nonsense")
        assert spoken.heard()["id"] is None
        spoken.give(b"x" * 100_000)
        assert "at most" in spoken.heard()["error"]["message"]
        spoken.give({"id": "a", "order": {"shard": 1}})
        assert spoken.heard() == {
            "id": "a",
            "error": {"message": "This is no order for a shard: batch_id: Field required.", "code": None},
        }
        for shard in range(2):
            spoken.give({"id": f"s{shard}", "order": order(shard=shard)})
        answered = [spoken.heard() for _ in range(2)]
        assert {said["id"]: said["outcome"]["completed"] for said in answered} == {"s0": 5, "s1": 5}
        spoken.give({"id": "long", "order": order(shard=2)})
        await until("it runs", lambda: any(tmp_path.glob("objects/work/*/logs/000002/000001.json")), PATIENCE_S)
        assert spoken.ends() == 0
        said = spoken.heard()
        assert said["id"] == "long"
        assert said["outcome"]["completed"] < 64
    log = [entry async for entry in entries(stores.objects, BATCH, 2)]
    assert unended(log) == []  # it has left nothing under way
    assert await stores.objects.size(shard_done(BATCH, 2)) is None
    await agreed(stores.ledger, stores.objects, 0, 1, 2)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"PENSTOCK_MODEL": "another"}, "no model 'another'"),
        ({"PENSTOCK_OBJECTS_URL": ""}, "PENSTOCK_OBJECTS_URL"),
        ({"PENSTOCK_WEIGHTS": "/nowhere/at/all", "PENSTOCK_CONFIG": "UNPULLED"}, "penstock weights pull"),
    ],
)
def test_a_process_that_cannot_start_says_why_in_one_line(
    tmp_path: Path, environment: dict[str, str], said: str
) -> None:
    if environment.get("PENSTOCK_CONFIG") == "UNPULLED":
        table = CONFIG.read_text().replace('source = "./models/demo"', f'source = "org/name"\nrevision = "{"0" * 40}"')
        (tmp_path / "penstock.toml").write_text(table)
        environment = {**environment, "PENSTOCK_CONFIG": str(tmp_path / "penstock.toml")}
    with worker_process(tmp_path, **environment) as spoken:
        assert spoken.process.wait(PATIENCE_S) == 3
        lines = spoken.errors.read_text().splitlines()
    assert len(lines) == 1
    assert said in orjson.loads(lines[0])["error"]
