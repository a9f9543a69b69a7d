"""The stopwatch leads a request through the policies as the edge does, and gives each policy its own time."""

import time
from typing import cast

import pytest
from starlette.responses import Response

from benchmarks.edge.stopwatch import Stopwatch
from functions.edge.exchange import Exchange, Proceed, Route

pytestmark = pytest.mark.anyio
EXCHANGE = cast("Exchange", object())  # nothing here looks into it


async def slow(_: Exchange, proceed: Proceed) -> Response:
    time.sleep(0.02)  # noqa: ASYNC251 (nothing else runs)
    return await proceed()


async def quick(_: Exchange, proceed: Proceed) -> Response:
    response = await proceed()
    response.headers["x-quick"] = "was here"
    return response


async def answer(_: Exchange) -> Response:
    return Response("answered")


async def test_each_policy_has_its_own_time_and_the_rest_is_the_rest() -> None:
    stopwatch = Stopwatch()
    response = await stopwatch.follow(Route("GET", "/", answer, policies=(quick, slow)), EXCHANGE)
    assert (response.body, response.headers["x-quick"]) == (b"answered", "was here")
    assert {name: len(times) for name, times in stopwatch.parts.items()} == {"quick": 1, "slow": 1}
    assert stopwatch.parts["slow"][0] >= 20_000  # microseconds: it slept so long
    whole = sum(times[0] for times in stopwatch.parts.values()) + 500
    assert stopwatch.with_rest([whole])["rest"] == pytest.approx([500])


def test_without_a_timed_request_there_are_no_parts() -> None:
    assert Stopwatch().with_rest([1.0, 2.0]) == {}


async def test_what_a_policy_raises_is_raised() -> None:
    async def refuse(_: Exchange, proceed: Proceed) -> Response:
        raise PermissionError

    with pytest.raises(PermissionError):
        await Stopwatch().follow(Route("GET", "/", answer, policies=(quick, refuse)), EXCHANGE)
