"""`carried`: both ways of carrying calls, which do not wait."""

from types import SimpleNamespace

import pytest

from penstock.client import async_batches, async_http_caller, batches, http_caller
from tests.unit.client.carried import Carried


@pytest.fixture(params=["blocking", "asynchronous"])
def carried(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Carried:
    """Each of the callers; its pauses are noted and not made."""
    way = Carried(asynchronous=request.param == "asynchronous")

    async def pause(seconds: float) -> None:
        way.pauses.append(seconds)

    for blocking, asynchronous in ((http_caller, async_http_caller), (batches, async_batches)):
        monkeypatch.setattr(blocking, "time", SimpleNamespace(sleep=way.pauses.append))
        monkeypatch.setattr(asynchronous, "asyncio", SimpleNamespace(sleep=pause))
    return way
