"""Penstock's own client and the whole service: the programs of docs/sdk.md as they stand, and streams that are left."""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from penstock.client import AsyncPenstock, ChatCompletionChunk, Penstock, UsageReport
from penstock.ledger import Ledger, UsageRecord
from tests.e2e.service import ROOT, Service, on_ledger, wait_for

TEXT = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^```python\n(.*?)^```", TEXT, re.MULTILINE | re.DOTALL)
SHOWN = [
    r"^\S.*\n\d+ tokens, request req_\w+$",
    r"^[A-Z].*\n prompt_tokens=\d+ completion_tokens=\d+ ",
    r"completed 2 of 2\n$",
    r"^[A-Z].*\n[A-Z].*\n\S+ ",
    r"^temperature is wrong: temperature: ",
]
LINE = (
    '{"custom_id": "%s", "method": "POST", "url": "/v1/chat/completions",'
    ' "body": {"model": "demo", "messages": [{"role": "user", "content": "go"}], "max_tokens": 5}}\n'
)
GO: Any = [{"role": "user", "content": "go"}]


@pytest.mark.parametrize(("block", "shown"), list(zip(BLOCKS, SHOWN, strict=True)))
def test_a_program_of_the_page_runs(service: Service, block: str, shown: str, tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text(LINE % "one" + LINE % "two")
    program = block.replace("http://127.0.0.1:8000", service.url).replace("ps_...", service.key)
    environment = {**os.environ, "PENSTOCK_BASE_URL": f"{service.url}/v1", "PENSTOCK_API_KEY": service.key}
    command = [sys.executable, "-W", "error", "-c", program]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, timeout=180, env=environment, cwd=tmp_path
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(shown, done.stdout, re.DOTALL), done.stdout


@pytest.mark.parametrize("delivery", ["relay", "direct"])
def test_a_stream_equals_the_whole_answer(service: Service, delivery: Any) -> None:
    with Penstock(f"{service.url}/v1", service.key) as client:
        asked: Any = {"model": "demo", "messages": GO, "temperature": 0, "delivery": delivery}
        whole = client.chat.completions.create(**asked)
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == whole.choices[0].message.content
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_embeddings(service: Service) -> None:
    with Penstock(f"{service.url}/v1", service.key) as client:
        packed = client.embeddings.create(model="demo", input=["a gate", "a lease"])
        plain = client.embeddings.create(model="demo", input=["a gate", "a lease"], encoding_format="float")
    assert [len(one.embedding) for one in packed.data] == [192, 192]
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)


def first_chunks(service: Service, key: str, delivery: Any) -> list[ChatCompletionChunk]:
    """Those of a stream that was left."""
    with Penstock(f"{service.url}/v1", key, delivery=delivery) as client:
        model = client.models.list().data[0].id
        with client.chat.completions.create(
            model=model, messages=GO, max_tokens=10_000, temperature=0, stream=True
        ) as stream:
            return [next(stream) for _ in range(20)]


async def first_chunks_async(service: Service, key: str, delivery: Any) -> list[ChatCompletionChunk]:
    """The same."""
    async with AsyncPenstock(f"{service.url}/v1", key, delivery=delivery) as client:
        model = (await client.models.list()).data[0].id
        stream = await client.chat.completions.create(
            model=model, messages=GO, max_tokens=10_000, temperature=0, stream=True
        )
        async with stream:
            return [await anext(stream) for _ in range(20)]


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("delivery", ["relay", "direct"])
def test_a_stream_that_is_left_ends_and_what_was_generated_is_billed(
    endless: Service, asynchronous: bool, delivery: str
) -> None:
    key = endless.create_key()
    if asynchronous:
        chunks = asyncio.run(first_chunks_async(endless, key, delivery))
    else:
        chunks = first_chunks(endless, key, delivery)
    request_id = "req_" + chunks[0].id.removeprefix("chatcmpl-")

    async def look(ledger: Ledger) -> UsageRecord | None:
        return await ledger.record(request_id)

    url = f"sqlite:///{endless.data.resolve() / 'ledger.db'}"
    found: UsageRecord = wait_for("the usage record", lambda: on_ledger(url, look))
    said = sum(bool(choice.delta.content) for chunk in chunks for choice in chunk.choices)
    assert (found.outcome, found.provisional) == ("cancelled", False)
    assert said <= found.usage.completion_tokens < 10_000
    row = report(endless, key).data[0]
    counted = (row.prompt_tokens, row.completion_tokens, row.cost_nano_usd)
    assert counted == (found.usage.prompt_tokens, found.usage.completion_tokens, found.nano)


def report(service: Service, key: str) -> UsageReport:
    """What the key used."""
    with Penstock(f"{service.url}/v1", key) as client:
        return client.usage.list()
