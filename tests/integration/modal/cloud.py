"""Penstock in the cloud, on this machine: the app deployed by Modal's client, its containers run by Modal's runtime.

The ledger is DynamoDB (ministack), which containers reach with a role that they assume by their own token; the
weights are on the Volume, put there by `penstock weights pull`. What that does not prove: tests/control_plane.
"""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import modal
import pytest
from aiobotocore.session import get_session
from openai import AsyncOpenAI
from pydantic import SecretStr

from functions.edge.app import create_app
from penstock import keys
from penstock.client import AsyncPenstock
from penstock.deployment import class_name
from penstock.keys import ApiKey
from penstock.ledger import Account, Key, Ledger, UsageRecord, create_ledger, open_ledger
from penstock.ledger.records import Limits
from penstock.settings import EdgeSettings
from tests.control_plane.running import ControlPlane, control_plane
from tests.integration.edge.serving import serving
from tests.integration.gpu.stand import TICKET_KEYS
from tests.servers.environment import lead_to
from tests.servers.ministack import ministack

T = TypeVar("T")

ROOT = Path(__file__).parents[3]
APP = "penstock"
LEDGER = "dynamodb://penstock-cloud"
BUCKET = "penstock-cloud"
OBJECTS = f"s3://{BUCKET}"
ROLE = "arn:aws:iam::000000000000:role/penstock-gpu"
PATIENCE_S = 90.0  # a busy machine starts torch slowly
KEY = keys.mint()

TABLE = f"""
[deployment]
app = "{APP}"

[models.demo]
source = "{ROOT}/models/demo"
dtype = "float32"
context_length = 1024
template_tokens = 16
template_tokens_per_message = 4
embeddings = {{ pooling = "mean", dimensions = [96] }}
prices = [{{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40 }}]
modal = {{ max_running = 32, max_containers = 1, exit_grace_period = 60, scaledown_window = 120 }}

[models.unpulled]
source = "{ROOT}/models/demo"
context_length = 1024
prices = [{{ effective = 2026-01-01, prompt = 0.10, cached_prompt = 0.05, completion = 0.40 }}]
"""


@dataclass
class Cloud:
    """What is deployed, and what stands around it."""

    plane: ControlPlane
    table: Path

    def deploy(self) -> None:
        """`modal deploy`, as CI does it."""
        self.plane.modal("deploy", "-m", "functions.gpu.modal_app", variables={"PENSTOCK_CONFIG": str(self.table)})

    def penstock(self, *arguments: str) -> str:
        """Run Penstock's command line; what it wrote."""
        done = subprocess.run(
            [str(Path(sys.executable).with_name("penstock")), *arguments],
            env={**os.environ, "PENSTOCK_CONFIG": str(self.table)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}{self.plane.logs()}"
        return done.stdout

    def containers(self, kind: str, *states: str, model: str = "demo") -> list[dict[str, Any]]:
        """A class's containers, the oldest first."""
        name = class_name(kind, model) + ("" if kind == "Gate" else ".*")  # type: ignore[arg-type]
        return self.plane.containers(name, *states)

    def gate(self, model: str = "demo") -> str:
        """The URL of a model's Gate."""
        return self.plane.server_url(APP, class_name("Gate", model))

    def generator(self, model: str = "demo") -> Any:
        """A model's class as any Python program finds it."""
        return modal.Cls.from_name(APP, class_name("Generator", model))()

    def direct(self, model: str = "demo", **options: Any) -> AsyncPenstock:
        """The SDK without HTTP."""
        return AsyncPenstock.direct(app=APP, model=model, **{"api_key": KEY.reveal(), **options})

    @asynccontextmanager
    async def edge(self, **changes: Any) -> AsyncIterator[AsyncOpenAI]:
        """The edge in front of the Gates, and OpenAI's client of it."""
        key, secret = self.plane.credentials
        settings = EdgeSettings(
            ledger_url=LEDGER,
            ticket_keys=SecretStr(TICKET_KEYS),
            config=self.table,
            gpu_url=json.dumps({model: self.gate(model) for model in ("demo", "unpulled")}),
            gpu_key=SecretStr(key),
            gpu_secret=SecretStr(secret),
            startup_budget_s=int(PATIENCE_S),
            **changes,
        )
        async with (
            serving(create_app(settings), "on") as url,
            AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY.reveal(), max_retries=0, timeout=PATIENCE_S) as client,
        ):
            yield client


async def on_ledger(look: Callable[[Ledger], Awaitable[T]]) -> T:
    """What `look` finds."""
    ledger = await open_ledger(LEDGER)
    try:
        return await look(ledger)
    finally:
        await ledger.close()


async def booked(request_id: str) -> UsageRecord:
    """A request's record, waited for."""

    async def look(ledger: Ledger) -> UsageRecord:
        end = time.monotonic() + PATIENCE_S
        while (record := await ledger.record(request_id)) is None or record.provisional:
            assert time.monotonic() < end, f"{request_id} was not settled"
            await asyncio.sleep(0.05)
        return record

    return await on_ledger(look)


async def fresh_key() -> ApiKey:
    """A key of its own, for a test that reads what it used: leases of others may end meanwhile."""
    key = keys.mint()
    await on_ledger(lambda ledger: ledger.create_key(Key(key.id, "acme", "fresh", key.digest(), 1)))
    return key


async def findings() -> tuple[Any, ...]:
    """What does not add up in the ledger."""
    from penstock.clock import now_ms

    return (await on_ledger(lambda ledger: ledger.audit(now_ms()))).findings


@contextmanager
def deployed(folder: Path) -> Iterator[Cloud]:
    """The whole of it, for as long as the block runs. This process is led to it as a developer's would be."""
    with ministack(folder) as aws, pytest.MonkeyPatch.context() as patch:
        lead_to(aws, patch)
        asyncio.run(_enrol())
        port = urlsplit(aws).port
        assert port is not None
        with control_plane(folder, reach=[port]) as plane:
            for name, value in plane.environment.items():
                patch.setenv(name, value)
            plane.set_secret(
                "penstock-gpu",
                {
                    "PENSTOCK_LEDGER_URL": LEDGER,
                    "PENSTOCK_OBJECTS_URL": OBJECTS,
                    "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
                    "PENSTOCK_SERVICE_KEY_ID": KEY.id,
                    "AWS_ROLE_ARN": ROLE,
                    "AWS_REGION": "us-east-1",
                    "AWS_ENDPOINT_URL": aws,
                },
            )
            table = folder / "penstock.toml"
            table.write_text(TABLE)
            cloud = Cloud(plane, table)
            cloud.deploy()
            cloud.penstock("weights", "pull", "demo")
            yield cloud
            plane.check()


async def _enrol() -> None:
    ledger = await create_ledger(LEDGER)
    await ledger.create_account(Account("acme", "Acme", 1, limits=Limits(concurrent_requests=1_000)))
    await ledger.create_key(Key(KEY.id, "acme", "laptop", KEY.digest(), 1))
    await ledger.close()
    async with get_session().create_client("s3") as s3:
        await s3.create_bucket(Bucket=BUCKET)
