"""Files and batches by both clients, against the edge with a folder and with a bucket; the batch itself is played."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from penstock.batches.records import Status
from penstock.client import Batch, FileObject, NotFound, StillRunning
from penstock.client.file_calls import LARGEST_POSTED
from penstock.clock import now_ms
from penstock.ledger import Usage
from tests.integration.client.conftest import Connect
from tests.integration.client.either import Either
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import Deployment
from tests.integration.edge.test_batches import COMPLETIONS, played
from tests.integration.edge.test_files import LINES

pytestmark = pytest.mark.anyio

LARGE = LINES * (LARGEST_POSTED // len(LINES) + 1)


async def content_of(either: Either, file_id: str, path: Path) -> bytes:
    """The content, by both ways of reading it."""
    read = await either.read(await either.call("files.content", file_id))
    await either.write(await either.call("files.content", file_id), path)
    assert await asyncio.to_thread(path.read_bytes) == read
    return read


async def test_a_files_life(deployment: Deployment, connect: Connect, tmp_path: Path) -> None:
    either = connect(deployment)
    (tmp_path / "in.jsonl").write_bytes(LINES)
    limits = {"anchor": "created_at", "seconds": 7_200}
    made = await either.call("files.create", file=tmp_path / "in.jsonl", expires_after=limits)
    assert isinstance(made, FileObject)
    assert (made.filename, made.bytes, made.status) == ("in.jsonl", len(LINES), "processed")
    assert made.expires_at == made.created_at + 7_200
    assert (await either.call("files.retrieve", made.id)).model_dump() == made.model_dump()
    page = await either.call("files.list", purpose="batch")
    assert ([file.id for file in page.data], page.has_more) == ([made.id], False)
    assert await content_of(either, made.id, tmp_path / "out.jsonl") == LINES
    assert (await either.call("files.delete", made.id)).deleted
    for method in ("files.retrieve", "files.content", "files.delete"):
        with pytest.raises(NotFound):
            await either.call(method, made.id)


@pytest.mark.parametrize("name", ['a"b.jsonl', "Grüße.jsonl", "a%22b.jsonl"])
async def test_a_name_comes_back_as_it_was(deployment: Deployment, connect: Connect, name: str) -> None:
    made = await connect(deployment).call("files.create", file=(name, LINES))
    assert made.filename == name


async def test_a_large_file_is_a_form_where_the_storage_is_a_folder(
    deployment: Deployment, connect: Connect, tmp_path: Path
) -> None:
    either = connect(deployment)
    (tmp_path / "in.jsonl").write_bytes(LARGE)
    with (tmp_path / "in.jsonl").open("rb") as opened:
        made = await either.call("files.create", file=opened)
    assert (made.filename, made.bytes) == ("in.jsonl", len(LARGE))
    assert await content_of(either, made.id, tmp_path / "out.jsonl") == LARGE


async def test_in_a_bucket_a_large_file_goes_there_and_comes_from_there(
    deploy: Deploy, bucket_url: str, connect: Connect, tmp_path: Path
) -> None:
    deployment = await deploy(objects_url=bucket_url)
    either, content = connect(deployment), LARGE + b"x" * (1 << 20)
    made = await either.call("files.create", file=("in.jsonl", content))
    assert (made.status, made.bytes) == ("processed", len(content))
    assert await content_of(either, made.id, tmp_path / "out.jsonl") == content


async def test_a_batch_is_waited_for(deployment: Deployment, connect: Connect) -> None:
    either, told = connect(deployment), list[Batch]()
    file = await either.call("files.create", file=("in.jsonl", LINES))
    asked: dict[str, Any] = {"input_file_id": file.id, "endpoint": COMPLETIONS, "completion_window": "24h"}
    made = await either.call("batches.create", **asked, metadata={"a": "b"})
    with pytest.raises(StillRunning, match=f"the batch {made.id} is validating after 0.1 s"):
        await either.call("batches.wait", made.id, timeout=0.1)
    waiting = asyncio.create_task(either.call("batches.wait", made.id, progress=told.append, poll=0.05))
    await played(deployment, made.id, status=Status.IN_PROGRESS, lines=4, completed=2, usage=Usage(7, 0, 3))
    async with asyncio.timeout(60):
        while not any(batch.request_counts.completed == 2 for batch in told):
            await asyncio.sleep(0.02)
    await played(deployment, made.id, status=Status.COMPLETED, completed=4, ended_at=now_ms())
    ended = await waiting
    assert (ended.status, ended.metadata, ended.usage.total_tokens) == ("completed", {"a": "b"}, 10)
    assert [batch.id for batch in (await either.call("batches.list")).data] == [made.id]


async def test_a_batch_is_cancelled(deployment: Deployment, connect: Connect) -> None:
    either = connect(deployment)
    file = await either.call("files.create", file=("in.jsonl", LINES))
    asked: dict[str, Any] = {"input_file_id": file.id, "endpoint": COMPLETIONS, "completion_window": "1h"}
    made = await either.call("batches.create", **asked)
    assert (await either.call("batches.cancel", made.id)).status == "cancelling"
    assert (await either.call("batches.retrieve", made.id)).cancelling_at is not None
