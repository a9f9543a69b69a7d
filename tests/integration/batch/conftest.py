"""The stand of the batch's tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.batch.stand import Stand, standing


@pytest.fixture
async def stand(tmp_path: Path) -> AsyncIterator[Stand]:
    """A plant with scripted workers."""
    async with standing(tmp_path) as made:
        yield made
