"""The relay of answers that do not stream, and of what the GPU process refuses."""

import asyncio
import socket
import struct
from typing import Any

import httpx2
import orjson
import pytest

from functions.edge import relay, upstream_error
from penstock.errors import ApiError, BadRequest, Conflict, Unauthenticated, Unavailable
from penstock.gpu_urls import GpuUrls
from penstock.ledger import Limits
from tests.integration.edge.conftest import Deploy
from tests.integration.edge.deployment import CHAT, Deployment
from tests.integration.edge.stand_in import ANSWER, JSON, STARTED, USED, Call, whole

pytestmark = pytest.mark.anyio

LIMITS = Limits(requests_per_minute=100, tokens_per_minute=100_000, concurrent_requests=10, monthly_budget=10**12)
SHORT = {"startup_budget_s": 1}


async def nothing_is_reserved(deployment: Deployment) -> bool:
    """Whether every reservation was given back or settled."""
    return {standing.reserved for standing in (await deployment.standings()).values()} == {0}


def error_of(response: httpx2.Response) -> dict[str, Any]:
    """The envelope's inside."""
    envelope = response.json()
    assert envelope.keys() == {"error"}
    error: dict[str, Any] = envelope["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    return error


async def test_an_answer_comes_through_and_is_settled_once(deployment: Deployment) -> None:
    response = await deployment.chat()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.headers["penstock-delivery"] == "relay"
    assert response.json()["choices"][0]["message"]["content"] == ANSWER
    record = await deployment.ledger.record(response.headers["x-request-id"])
    assert record is not None
    assert (record.usage, record.provisional) == (USED, False)


async def test_the_gpu_gets_the_body_as_it_was_sent_and_no_key(deployment: Deployment) -> None:
    body = orjson.dumps(CHAT) + b"  "
    headers = {**deployment.owner.bearer, "x-api-key": "of no use", "cookie": "a=b"}
    await deployment.client.post("/v1/chat/completions", content=body, headers=headers)
    (call,) = deployment.gpu.calls
    assert (call.path, call.body) == ("/v1/chat/completions", body)
    assert {name for name in call.headers if "auth" in name or "key" in name or "cookie" in name} == set()
    assert call.ticket.lease.model == CHAT["model"]


async def test_an_alias_is_leased_under_the_models_own_name(deployment: Deployment) -> None:
    assert (await deployment.chat(model="small")).status_code == 200
    assert deployment.gpu.calls[0].ticket.lease.model == "demo"


async def test_a_models_name_goes_quoted_into_the_gpus_url(deploy: Deploy) -> None:
    deployment = await deploy()
    deployment.edge.gpu = GpuUrls.parse(f"{deployment.gpu_url}/of/{{model}}/")
    assert (await deployment.chat(model="acme/large")).status_code == 200
    assert deployment.gpu.calls[0].path == "/of/acme/large/v1/chat/completions"  # as uvicorn unquotes it


@pytest.mark.parametrize(
    "refusal",
    [
        BadRequest("messages: 1,100 tokens are over the context.", param="messages", code="context_length_exceeded"),
        Unavailable("The GPU process is full.", retry_after=7, code="queue_full"),
        ApiError("Something went wrong on our side.", code="internal_error"),
    ],
)
async def test_the_gpus_refusals_keep_their_status_and_body(deploy: Deploy, refusal: ApiError) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = lambda call: call.refuse(refusal)
    response = await deployment.chat()
    assert response.status_code == refusal.status
    assert response.json() == refusal.envelope()
    assert response.headers.get("retry-after") == refusal.headers.get("Retry-After")
    assert await nothing_is_reserved(deployment)


async def test_an_envelope_in_several_pieces_is_read_to_its_end(deployment: Deployment) -> None:
    refusal = BadRequest("messages: too long.", param="messages")
    body = orjson.dumps(refusal.envelope())

    async def in_pieces(call: Call) -> None:
        await call.begin(400, JSON)
        for byte in body:
            await call.part(bytes([byte]))
            await asyncio.sleep(0)
        await call.end()

    deployment.gpu.behave = in_pieces
    assert (await deployment.chat()).json() == refusal.envelope()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_ticket_that_the_gpu_refuses_is_our_fault_and_says_nothing(deploy: Deploy, stream: bool) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = lambda call: call.refuse(Unauthenticated("ticket: forged", code="invalid_ticket"))
    response = await deployment.chat(stream=stream)
    assert response.status_code == 502
    assert error_of(response)["code"] == "ticket_refused"
    assert "forged" not in response.text
    assert await nothing_is_reserved(deployment)


async def test_a_lease_that_another_attempt_holds_is_unavailable(deployment: Deployment) -> None:
    deployment.gpu.behave = lambda call: call.refuse(Conflict("claimed", code="ticket_used"))
    response = await deployment.chat()
    assert (response.status_code, response.headers["retry-after"]) == (503, "5")


async def _garbage(call: Call) -> None:
    await call.respond(200, JSON, b"<html>Not JSON</html>")


async def _a_list(call: Call) -> None:
    await call.respond(200, JSON, b"[1]")


async def _a_page(call: Call) -> None:
    await call.respond(200, {"content-type": "text/html"}, whole(call))


async def _a_stream(call: Call) -> None:
    await call.respond(200, STARTED, whole(call))


async def _a_redirect(call: Call) -> None:
    await call.respond(302, {**JSON, "location": "/elsewhere"}, orjson.dumps(BadRequest("moved").envelope()))


async def _a_timeout(call: Call) -> None:
    await call.respond(408, JSON, orjson.dumps(BadRequest("The body took too long.").envelope()))


async def _an_error_without_an_envelope(call: Call) -> None:
    await call.respond(500, JSON, b'{"error": "a string"}')


async def _an_error_page(call: Call) -> None:
    await call.respond(500, {**JSON, "content-type": "text/html"}, b"<h1>secret inside</h1>" * 10_000)


async def _half_an_answer(call: Call) -> None:
    await call.begin(200, JSON)
    await call.part(whole(call)[:20])


@pytest.mark.parametrize(
    "behave",
    [
        _garbage,
        _a_list,
        _a_page,
        _a_stream,
        _a_redirect,
        _a_timeout,
        _an_error_without_an_envelope,
        _an_error_page,
        _half_an_answer,
    ],
)
async def test_what_is_not_an_answer_is_a_502_and_costs_nothing(deploy: Deploy, behave: Any) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.gpu.behave = behave
    response = await deployment.chat()
    assert response.status_code == 502
    assert error_of(response)["code"] == "upstream_error"
    assert "secret" not in response.text
    assert await nothing_is_reserved(deployment)
    assert deployment.gpu.requests == 1


async def test_an_answer_that_is_too_long_is_cut_off(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "MAX_ANSWER", 1 << 20)

    async def endless(call: Call) -> None:
        await call.begin(200, JSON)
        while not call.gone.is_set():
            await call.part(b"x" * (64 << 10))
            await asyncio.sleep(0)

    deployment.gpu.behave = endless
    response = await deployment.chat()
    assert response.status_code == 502
    assert "too long" in error_of(response)["message"]
    async with asyncio.timeout(10):
        await deployment.gpu.calls[0].gone.wait()


async def test_an_error_that_never_ends_is_given_up(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(upstream_error, "ERROR_WITHIN", 0.05)

    async def hang(call: Call) -> None:
        await call.begin(500, JSON)
        await call.part(b'{"error"')
        await call.gone.wait()

    deployment.gpu.behave = hang
    assert (await deployment.chat()).status_code == 502


@pytest.mark.parametrize("stream", [False, True])
async def test_no_gpu_process_is_a_503_before_the_first_byte(deploy: Deploy, stream: bool, free_port: int) -> None:
    deployment = await deploy(account_limits=LIMITS, gpu_url=f"http://127.0.0.1:{free_port}")
    response = await deployment.chat(stream=stream)
    assert response.status_code == 503
    assert response.headers["retry-after"] == "5"
    assert error_of(response)["type"] == "server_error"
    assert await nothing_is_reserved(deployment)


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("stream", [False, True])
async def test_a_gpu_that_hangs_up_before_its_status_is_asked_once_more(
    deploy: Deploy, stream: bool, reset: bool
) -> None:
    asked = []

    async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        if reset:  # the connection's end is then a TCP reset
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        deployment = await deploy(account_limits=LIMITS, gpu_url=f"http://127.0.0.1:{port}")
        response = await deployment.chat(stream=stream)
    assert response.status_code == 503
    assert len(asked) == 2
    assert await nothing_is_reserved(deployment)


async def test_a_kept_connection_that_was_closed_meanwhile_is_not_noticed(deploy: Deploy) -> None:
    """The GPU process is restarted between two requests; the pool still holds a connection to the old one."""
    deployment = await deploy()
    assert (await deployment.chat()).status_code == 200
    connector = deployment.edge.http().connector
    assert connector is not None
    ((kept, *_),) = connector._conns.values()
    transport = kept[0].transport
    assert transport is not None
    transport.get_extra_info("socket").shutdown(socket.SHUT_RDWR)
    assert (await deployment.chat()).status_code == 200


async def test_a_full_gpu_is_not_asked_again(deployment: Deployment) -> None:
    """Its 503 has the header that a platform's own 503 lacks."""
    deployment.gpu.behave = lambda call: call.refuse(Unavailable("full"))
    assert (await deployment.chat()).status_code == 503
    assert deployment.gpu.requests == 1


async def test_the_wait_for_a_free_connection_is_bounded(deploy: Deploy) -> None:
    deployment = await deploy(relay_connections=1, account_limits=LIMITS, **SHORT)

    async def slow(call: Call) -> None:
        await call.claim()
        await asyncio.wait_for(released.wait(), 20)
        await call.settle()
        await call.respond(200, JSON, whole(call))

    released = asyncio.Event()
    deployment.gpu.behave = slow
    first = asyncio.create_task(deployment.chat())
    await deployment.gpu.called.wait()
    second = await deployment.chat()
    released.set()
    assert (second.status_code, (await first).status_code) == (503, 200)
    assert await nothing_is_reserved(deployment)


async def test_a_lease_that_the_gpu_claimed_is_not_given_back(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)

    async def claim_and_break(call: Call) -> None:
        await call.claim()
        await call.begin(200, JSON)

    deployment.gpu.behave = claim_and_break
    assert (await deployment.chat()).status_code == 502
    assert not await nothing_is_reserved(deployment)


async def test_a_ticket_is_good_for_its_body_only(deployment: Deployment) -> None:
    """The stand-in's check is the GPU's: the ticket holds the hash of what was sent."""
    await deployment.chat()
    ticket = deployment.gpu.calls[0].headers["penstock-ticket"]
    async with httpx2.AsyncClient() as thief:
        response = await thief.post(
            f"{deployment.gpu_url}/v1/chat/completions",
            json={**CHAT, "max_tokens": 1_000},
            headers={"Penstock-Ticket": ticket},
        )
    assert response.status_code == 401
    assert len(deployment.gpu.calls) == 1
