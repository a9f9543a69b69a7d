"""`connect` makes a client of either kind for a deployment of the edge; both end with the test."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest

from penstock.client import AsyncPenstock, Penstock
from tests.integration.client.either import Either
from tests.integration.edge.conftest import deploy, deployment, free_port
from tests.integration.edge.deployment import Deployment

__all__ = ["deploy", "deployment", "free_port"]

Connect = Callable[..., Either]


@pytest.fixture(params=[Penstock, AsyncPenstock])
async def connect(request: pytest.FixtureRequest, anyio_backend: str) -> AsyncIterator[Connect]:
    """Makes a client with the deployment's key; takes the client's options."""
    async with AsyncExitStack() as stack:

        def make(deployment: Deployment, **options: Any) -> Either:
            given = {"base_url": f"{deployment.url}/v1", "api_key": deployment.owner.key.reveal(), **options}
            either = Either(request.param(**given))
            stack.push_async_callback(either.close)
            return either

        yield make
