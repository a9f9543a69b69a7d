"""`deploy` makes deployments of the edge that end with the test; `deployment` is one without limits."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.edge.deployment import Deployment, deployed

Deploy = Callable[..., Awaitable[Deployment]]


@pytest.fixture
async def deploy(tmp_path: Path) -> AsyncIterator[Deploy]:
    """Makes a deployment; takes what `deployed` takes."""
    async with AsyncExitStack() as stack:

        async def make(**changes: Any) -> Deployment:
            return await stack.enter_async_context(deployed(tmp_path, **changes))

        yield make


@pytest.fixture
async def deployment(deploy: Deploy) -> Deployment:
    """A deployment without limits."""
    return await deploy()
