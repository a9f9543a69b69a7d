"""A client that goes takes its request to the GPU with it, at once."""

import asyncio
from typing import Any

import httpx2
import pytest

from penstock.ledger import Limits
from penstock.schemas.completion import event
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import CHAT, Deployment
from tests.integration.edge.stand_in import STARTED, WORDS, Call, chunk_of
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

LIMITS = Limits(concurrent_requests=10)


async def wait_for_no_reservation(deployment: Deployment) -> None:
    """Until the reservation was given back."""
    async with asyncio.timeout(10):
        while {standing.reserved for standing in (await deployment.standings()).values()} != {0}:
            await asyncio.sleep(0.01)


async def hang(call: Call) -> None:
    """Say nothing, until the client has gone."""
    await call.gone.wait()


@pytest.mark.parametrize("stream", [False, True])
async def test_before_the_status_the_connection_is_closed_and_the_lease_given_back(
    deploy: Deploy, stream: bool, logged: Logged
) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = hang
    asking = asyncio.create_task(deployment.chat(stream=stream))
    await deployment.gpu.called.wait()
    asking.cancel()
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()
    await wait_for_no_reservation(deployment)
    async with asyncio.timeout(10):
        while not any(line["status"] == 499 for line in logged.lines()):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("claimed", [False, True])
async def test_within_a_stream_the_connection_is_closed(deploy: Deploy, claimed: bool) -> None:
    deployment = await deploy(account_limits=LIMITS)

    async def one_word(call: Call) -> None:
        if claimed:
            await call.claim()
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, WORDS[0])))
        await call.gone.wait()
        if claimed:
            await call.settle()

    deployment.gpu.behave = one_word
    await read_one_part(deployment)
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()
    await wait_for_no_reservation(deployment)


async def test_the_gpu_is_let_go_of_before_the_ledger_is_asked(deploy: Deploy) -> None:
    """A busy ledger once kept the GPU generating for nobody, for as long as it was waited for."""
    deployment = await deploy(account_limits=LIMITS)
    watched = await Watched.within(deployment)
    watched.held["release"] = asyncio.Event()

    async def one_word(call: Call) -> None:
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, WORDS[0])))
        await call.gone.wait()

    deployment.gpu.behave = one_word
    await read_one_part(deployment)
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()
    watched.held["release"].set()
    await wait_for_no_reservation(deployment)


async def read_one_part(deployment: Deployment) -> None:
    """Begin a stream, read its first part, and go."""
    body: dict[str, Any] = {**CHAT, "stream": True}
    async with (
        httpx2.AsyncClient(base_url=deployment.url) as client,
        client.stream("POST", "/v1/chat/completions", json=body, headers=deployment.owner.bearer) as response,
    ):
        await anext(response.aiter_raw())


async def test_while_comments_are_sent_the_connection_is_closed(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS, heartbeat_after_s=0.02, heartbeat_every_s=0.02)
    deployment.gpu.behave = hang
    await read_one_part(deployment)
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()
    await wait_for_no_reservation(deployment)


async def test_a_client_that_reads_nothing_and_goes_frees_the_gpu(deploy: Deploy) -> None:
    """A stream that fills every buffer on the way is stuck in sending when its client goes."""
    deployment = await deploy(account_limits=LIMITS)
    big = event(b'"' + b"x" * (256 << 10) + b'"')

    async def flood(call: Call) -> None:
        await call.begin(200, STARTED)
        while not call.gone.is_set():
            await call.part(big)
            await asyncio.sleep(0)

    deployment.gpu.behave = flood
    await read_one_part(deployment)
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()
    await wait_for_no_reservation(deployment)


async def test_a_client_that_goes_while_it_sends_is_only_logged(deploy: Deploy, logged: Logged) -> None:
    deployment = await deploy(account_limits=LIMITS)
    host, port = deployment.url.removeprefix("http://").split(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\nContent-Type: application/json\r\n"
        + f"Authorization: {deployment.owner.bearer['Authorization']}\r\n\r\n".encode()
        + b'{"model"'
    )
    await writer.drain()
    await asyncio.sleep(0.05)
    writer.close()
    await writer.wait_closed()
    async with asyncio.timeout(10):
        while not any(line["status"] == 499 for line in logged.lines()):
            await asyncio.sleep(0.01)
    assert deployment.gpu.requests == 0
