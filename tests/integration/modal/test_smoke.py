"""The smoke test for a real account, against the deployment on this machine: that it asks, and that it can fail."""

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from penstock import keys
from tests.integration.modal.cloud import ROOT, TABLE, Cloud, findings, fresh_key

pytestmark = pytest.mark.anyio


async def smoke(cloud: Cloud, table: Path, **variables: str) -> tuple[int, str]:
    """How `pytest tests/smoke` ended, and what it wrote; with a key that is good where nothing else is said."""
    key = await fresh_key()
    given = {"PENSTOCK_CONFIG": str(table), "PENSTOCK_SMOKE_KEY": key.reveal(), "CI": "true"}
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).with_name("pytest")),
        *("tests/smoke", "-p", "no:cacheprovider", "-q"),
        cwd=ROOT,
        env={**os.environ, **cloud.plane.environment, **given, **variables},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        told, _ = await process.communicate()
    except BaseException:
        process.kill()
        raise
    assert process.returncode is not None
    return process.returncode, told.decode()


@pytest.fixture
def table(tmp_path: Path) -> Path:
    """The table without the model that has no weights: the smoke test asks every model."""
    path = tmp_path / "penstock.toml"
    path.write_text(TABLE.partition("[models.unpulled]")[0])
    return path


async def test_the_smoke_test_asks_the_model_both_ways_and_reads_its_bill(cloud: Cloud, table: Path) -> None:
    async with cloud.edge() as client:
        code, told = await smoke(cloud, table, PENSTOCK_SMOKE_URL=str(client.base_url).removesuffix("/v1/"))
    assert code == 0, told
    assert "3 passed" in told
    assert sorted(re.findall(r"demo, (\w+): the first token after [\d.]+ s", told)) == ["direct", "https"]
    assert await findings() == ()


async def test_without_an_edge_the_smoke_test_asks_directly(cloud: Cloud, table: Path) -> None:
    code, told = await smoke(cloud, table, PENSTOCK_SMOKE_URL="")
    assert code == 0, told
    assert "1 passed, 2 skipped" in told


async def test_the_smoke_test_fails_with_a_key_that_opens_nothing(cloud: Cloud, table: Path) -> None:
    stranger = keys.mint().reveal()
    async with cloud.edge() as client:
        url = str(client.base_url).removesuffix("/v1/")
        code, told = await smoke(cloud, table, PENSTOCK_SMOKE_URL=url, PENSTOCK_SMOKE_KEY=stranger)
    assert code == 1, told
    assert "3 failed" in told
    assert stranger not in told


async def test_the_smoke_test_fails_where_a_model_has_no_weights(cloud: Cloud) -> None:
    code, told = await smoke(cloud, cloud.table, PENSTOCK_SMOKE_URL="")
    assert code == 1, told
    assert "cannot be loaded" in told
    assert "1 failed, 1 passed" in told
