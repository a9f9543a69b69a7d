"""A running Penstock, as a user starts it: `penstock serve` and its processes, on free ports of 127.0.0.1."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import orjson
from openai import OpenAI

from penstock.ledger import Ledger, open_ledger

T = TypeVar("T")

PENSTOCK = str(Path(sys.executable).with_name("penstock"))
ROOT = Path(__file__).parents[2]
PATIENCE = 90.0  # seconds: a busy machine starts torch slowly

_KEY = re.compile(r"ps_[0-9A-Za-z]{12}_[0-9A-Za-z]{38}")
_URL = re.compile(r"http://127\.0\.0\.1:\d+")


def wait_for(what: str, found: Callable[[], Any], patience: float = PATIENCE) -> Any:
    """The first truthy result of `found`; fails with `what` when there is none in time."""
    end = time.monotonic() + patience
    while time.monotonic() < end:
        if result := found():
            return result
        time.sleep(0.05)
    raise AssertionError(f"waited {patience} s in vain: {what}")


def on_ledger(url: str, look: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `look` finds on the ledger at `url`, opened beside the service."""

    async def run() -> T:
        ledger = await open_ledger(url)
        try:
            return await look(ledger)
        finally:
            await ledger.close()

    return asyncio.run(run())


class Service:
    """One `penstock serve` with its data directory."""

    def __init__(self, data: Path, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self.data = data
        self.process = process
        self.output = output
        self.clients: list[OpenAI] = []
        self.key = wait_for("a key", lambda: self._printed(_KEY))
        self.url = wait_for("a URL", lambda: self._printed(_URL))

    def _printed(self, pattern: re.Pattern[str]) -> str | None:
        assert self.process.poll() is None, self.output.read_text()
        match = pattern.search(self.output.read_text())
        return match[0] if match else None

    def client(self, key: str | None = None, **options: Any) -> OpenAI:
        """OpenAI's client for this service; it does not retry, so that a test sees every error."""
        options = {"max_retries": 0, "timeout": 60, **options}
        client = OpenAI(base_url=f"{self.url}/v1", api_key=key or self.key, **options)
        self.clients.append(client)
        return client

    def run(self, *args: str) -> str:
        """What a `penstock` command prints."""
        command = [PENSTOCK, *args, "--data", str(self.data)]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=ROOT).stdout

    def create_key(self, *options: str) -> str:
        """A new key with these options of `penstock keys create`."""
        key: str = orjson.loads(self.run("keys", "create", "--json", *options))["key"]
        return key

    async def ledger(self) -> Ledger:
        """The service's own ledger file, opened beside it."""
        return await open_ledger(f"sqlite:///{self.data.resolve() / 'ledger.db'}")

    def gpu_pid(self) -> int | None:
        """The GPU process."""
        return self.pid("functions.gpu.server")

    def pid(self, app: str) -> int | None:
        """The process that serves the app, by its command line among the service's children."""
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                words = (entry / "cmdline").read_bytes()
                group = (entry / "environ").read_bytes()
            except OSError:
                continue
            if app.encode() in words and str(self.data.resolve()).encode() in group:
                return int(entry.name)
        return None

    def kill_gpu(self) -> None:
        """End the GPU process as the kernel would: without a word."""
        self.kill("functions.gpu.server")

    def kill(self, app: str) -> None:
        """End the process that serves the app."""
        pid = self.pid(app)
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def logs(self) -> str:
        """Everything that the service has written: its logs and its output."""
        texts = [path.read_text(errors="replace") for path in sorted((self.data / "logs").iterdir())]
        return "\n".join(texts)


@contextmanager
def serving(data: Path, *options: str, **settings: str) -> Iterator[Service]:
    """`penstock serve` for as long as the block runs; `settings` go into its environment."""
    output = data.parent / f"{data.name}.out"
    command = [PENSTOCK, "serve", "--port", "0", "--data", str(data), *options]
    environment = {**os.environ, **settings}
    with output.open("wb") as stream:
        process = subprocess.Popen(command, stdout=stream, stderr=stream, cwd=ROOT, env=environment)
    clients: list[OpenAI] = []
    try:
        service = Service(data, process, output)
        clients = service.clients
        yield service
    finally:
        for client in clients:
            client.close()
        process.send_signal(signal.SIGINT)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
