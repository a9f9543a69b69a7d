"""The stores that the contract holds for: one URL for each."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.objects import Objects, open_objects


@pytest.fixture(params=["folder", "bucket"])
def objects_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of its own for the test, empty."""
    if request.param == "bucket":
        url: str = request.getfixturevalue("bucket_url")
        return url
    return f"file://{tmp_path / 'objects'}"


@pytest.fixture
async def objects(anyio_backend: str, objects_url: str) -> AsyncIterator[Objects]:
    """The store, open."""
    opened = await open_objects(objects_url)
    yield opened
    await opened.close()
