"""`Idempotency-Key`: one generation, one bill, and the same answer again; what is not kept, and what is forgotten."""

import asyncio
from typing import Any

import httpx2
import openai
import orjson
import pytest

from functions.edge import attempt as attempts
from functions.edge import keeping
from functions.edge.attempt import fingerprint
from penstock.clock import SECOND, now_ms
from penstock.errors import Unavailable
from penstock.ledger import Idempotency, Limits, StoredAnswer
from penstock.schemas.completion import DONE, event
from tests.integration.edge.conftest import Deploy, Logged
from tests.integration.edge.deployment import CHAT, Deployment, enrol
from tests.integration.edge.stand_in import ANSWER, STARTED, WORDS, Call, answer, chunk_of, stream_of
from tests.integration.edge.watched import Watched

pytestmark = pytest.mark.anyio

KEY = {"Idempotency-Key": "order-66"}
LIMITS = Limits(concurrent_requests=10, monthly_budget=10**9)
PATH = "/v1/chat/completions"


async def ask(deployment: Deployment, key: str = "order-66", **changes: Any) -> httpx2.Response:
    """A chat under the key."""
    return await deployment.chat(headers={"Idempotency-Key": key}, **changes)


def code_of(response: httpx2.Response) -> tuple[int, str | None]:
    """Status and error code."""
    return response.status_code, response.json().get("error", {}).get("code")


async def state(deployment: Deployment, key: str = "order-66") -> StoredAnswer | Idempotency:
    """What the ledger says of the key; FRESH is forgotten at once."""
    account, body = deployment.owner.caller.account.id, httpx2.Request("POST", PATH, json=CHAT).content
    found = await deployment.ledger.begin(
        account, key, fingerprint("POST", PATH, body), "test", now=now_ms(), expires_at=now_ms() + SECOND
    )
    if found is Idempotency.FRESH:
        await deployment.ledger.abandon(account, key, "test")
    return found


async def wait_for(deployment: Deployment, wanted: type[StoredAnswer] | Idempotency) -> None:
    """Until the ledger says so of the key."""
    async with asyncio.timeout(10):
        while True:
            found = await state(deployment)
            if found is wanted or (isinstance(wanted, type) and isinstance(found, wanted)):
                return
            await asyncio.sleep(0.01)


# -- the same answer again


@pytest.mark.parametrize("stream", [False, True])
async def test_the_same_request_is_answered_once_and_billed_once(deploy: Deploy, stream: bool) -> None:
    deployment = await deploy(account_limits=LIMITS)
    first, *again = [await ask(deployment, stream=stream) for _ in range(3)]
    assert "idempotent-replayed" not in first.headers
    for response in again:
        assert response.headers["idempotent-replayed"] == "true"
        assert (response.status_code, response.content) == (200, first.content)
        for header in ("content-type", "cache-control", "x-accel-buffering"):
            assert response.headers.get(header) == first.headers.get(header)
        assert ("content-length" in response.headers) == (not stream)
    assert len({response.headers["x-request-id"] for response in (first, *again)}) == 3
    assert deployment.gpu.requests == 1
    (record,) = await deployment.ledger.records(account_id=deployment.owner.caller.account.id)
    assert record.request_id == first.headers["x-request-id"]


async def test_the_official_client_gets_the_same_answer_whole_and_streamed(deployment: Deployment) -> None:
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=0
    ) as client:
        messages: Any = [{"role": "user", "content": "Hello!"}]
        whole = [
            await client.chat.completions.create(model="demo", messages=messages, extra_headers=KEY) for _ in range(2)
        ]
        assert whole[0] == whole[1]
        assert whole[1].choices[0].message.content == ANSWER
        for _ in range(2):
            stream = await client.chat.completions.create(
                model="demo", messages=messages, stream=True, extra_headers={"Idempotency-Key": "streamed"}
            )
            words = [chunk.choices[0].delta.content async for chunk in stream if chunk.choices[0].delta.content]
            assert tuple(words) == WORDS
        with pytest.raises(openai.UnprocessableEntityError) as reused:
            await client.chat.completions.create(model="demo", messages=messages, seed=1, extra_headers=KEY)
        assert reused.value.code == "idempotency_key_reused"
    assert deployment.gpu.requests == 2


async def test_an_answer_is_the_accounts_and_no_other_accounts(deployment: Deployment) -> None:
    await ask(deployment)
    other = await enrol(deployment.ledger)
    response = await deployment.client.post(PATH, json=CHAT, headers={**other.bearer, **KEY})
    assert response.status_code == 200
    assert "idempotent-replayed" not in response.headers


async def test_a_stored_answer_needs_no_room_within_the_limits(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=Limits(requests_per_minute=1))
    first = await ask(deployment)
    assert (await deployment.chat()).status_code == 429
    assert (await ask(deployment)).content == first.content


async def test_another_body_is_a_422(deployment: Deployment) -> None:
    await ask(deployment)
    response = await ask(deployment, seed=1)
    assert code_of(response) == (422, "idempotency_key_reused")
    assert response.json()["error"]["param"] == "Idempotency-Key"
    assert deployment.gpu.requests == 1


async def test_an_answer_is_kept_for_the_retention(deploy: Deploy, monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = await deploy(idempotency_retention_s=100)
    now = now_ms()
    monkeypatch.setattr(attempts, "now_ms", lambda: now)
    first = await ask(deployment)
    monkeypatch.setattr(attempts, "now_ms", lambda: now + 99 * SECOND)
    assert (await ask(deployment)).content == first.content
    monkeypatch.setattr(attempts, "now_ms", lambda: now + 101 * SECOND)
    assert (await ask(deployment)).content != first.content
    assert deployment.gpu.requests == 2


async def test_with_a_key_the_answer_comes_through_the_edge(deploy: Deploy) -> None:
    deployment = await deploy(gpu_public_url="{gpu}")
    response = await deployment.chat(headers={**KEY, "Penstock-Delivery": "direct"})
    assert (response.status_code, response.headers["penstock-delivery"]) == (200, "relay")
    assert isinstance(await state(deployment), StoredAnswer)


@pytest.mark.parametrize("key", ["", "a b", "x" * 256, "é", "a\tb", "\x7f"])
async def test_a_malformed_key_is_a_400(deployment: Deployment, key: str) -> None:
    headers = [
        (b"idempotency-key", key.encode()),
        (b"authorization", deployment.owner.bearer["Authorization"].encode()),
    ]
    response = await deployment.client.post(PATH, json=CHAT, headers=headers)
    assert (response.status_code, response.json()["error"]["param"]) == (400, "Idempotency-Key")
    assert deployment.gpu.requests == 0


async def test_two_keys_are_a_400(deployment: Deployment) -> None:
    headers = [*deployment.owner.bearer.items(), ("Idempotency-Key", "a"), ("Idempotency-Key", "b")]
    assert (await deployment.client.post(PATH, json=CHAT, headers=headers)).status_code == 400


@pytest.mark.parametrize("key", ["!", "~" * 255, "8f7c1d9e-3b7a-4c57-9c1e-0e6f3a1b2c3d"])
async def test_any_visible_ascii_is_a_key(deployment: Deployment, key: str) -> None:
    assert [(await ask(deployment, key)).status_code for _ in range(2)] == [200, 200]
    assert deployment.gpu.requests == 1


# -- while it is running


async def test_a_duplicate_of_a_running_request_is_a_409_to_be_asked_again(deployment: Deployment) -> None:
    duplicates = []

    async def meanwhile(call: Call) -> None:
        duplicates.append(await ask(deployment))
        await answer(call)

    deployment.gpu.behave = meanwhile
    assert (await ask(deployment)).status_code == 200
    (duplicate,) = duplicates
    assert code_of(duplicate) == (409, "idempotency_in_flight")
    assert duplicate.headers["retry-after"] == "2"
    assert "x-should-retry" not in duplicate.headers
    assert deployment.gpu.requests == 1


async def test_of_many_at_once_one_runs_and_none_is_billed_twice(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)
    answers = await asyncio.gather(*(ask(deployment) for _ in range(20)))
    assert {answer.status_code for answer in answers} <= {200, 409}
    assert len({answer.content for answer in answers if answer.status_code == 200}) == 1
    assert deployment.gpu.requests == 1
    assert len(await deployment.ledger.records(account_id=deployment.owner.caller.account.id)) == 1


async def test_the_official_clients_retry_waits_for_the_answer(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = asyncio.Event()

    async def once_told(call: Call) -> None:
        await finish.wait()
        await answer(call)

    deployment.gpu.behave = once_told
    messages: Any = [{"role": "user", "content": "Hello!"}]
    async with openai.AsyncOpenAI(
        base_url=f"{deployment.url}/v1", api_key=deployment.owner.key.reveal(), max_retries=3
    ) as client:
        first = asyncio.create_task(client.chat.completions.create(model="demo", messages=messages, extra_headers=KEY))
        await deployment.gpu.called.wait()
        asked = asyncio.create_task(client.chat.completions.create(model="demo", messages=messages, extra_headers=KEY))
        await asyncio.sleep(0.2)
        finish.set()
        assert await asked == await first
    assert deployment.gpu.requests == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_the_answer_is_in_the_ledger_before_its_last_byte_goes_out(deployment: Deployment, stream: bool) -> None:
    """So a client that has the whole answer, and asks again, is not answered anew."""
    ledger = await Watched.within(deployment)
    ledger.held["remember"] = asyncio.Event()
    body = bytearray()

    async def read() -> None:
        sent = {**CHAT, "stream": stream}
        headers = {**deployment.owner.bearer, **KEY}
        async with deployment.client.stream("POST", PATH, json=sent, headers=headers) as response:
            async for part in response.aiter_raw():
                body.extend(part)

    reading = asyncio.create_task(read())
    async with asyncio.timeout(10):
        while not ledger.calls["remember"]:
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert not reading.done()
    assert DONE not in body
    assert stream or not body
    ledger.held["remember"].set()
    await reading
    assert body.endswith(DONE) if stream else ANSWER.encode() in body


async def test_how_long_a_running_request_is_held_for(deploy: Deploy) -> None:
    deployment = await deploy(startup_budget_s=7)
    ledger = await Watched.within(deployment)
    await ask(deployment)
    times = ledger.arguments["begin"][1]
    assert times["expires_at"] - times["now"] == (7 + 900 + 60) * SECOND


@pytest.mark.parametrize("stream", [False, True])
async def test_a_request_is_cut_before_its_key_can_be_taken_up_again(
    deploy: Deploy, monkeypatch: pytest.MonkeyPatch, stream: bool
) -> None:
    deployment = await deploy(startup_budget_s=1)
    monkeypatch.setattr(attempts, "LONGEST", -0.7)

    async def dawdle(call: Call) -> None:
        if call.streams:
            await call.begin(200, STARTED)
        await call.gone.wait()

    deployment.gpu.behave = dawdle
    response = await ask(deployment, stream=stream)
    assert response.status_code == (200 if stream else 503)
    assert b'"error"' in response.content
    await wait_for(deployment, Idempotency.FRESH)


# -- what is answered and not kept


async def test_an_account_may_have_its_answers_not_kept(deployment: Deployment) -> None:
    account = deployment.owner.caller.account.id
    await deployment.ledger.set_account(account, enabled=True, limits=Limits(), keep_answers=False)
    assert (await ask(deployment)).status_code == 200
    response = await ask(deployment)
    assert code_of(response) == (409, "idempotency_answer_not_kept")
    assert response.headers["x-should-retry"] == "false"
    assert code_of(await ask(deployment, seed=1)) == (422, "idempotency_key_reused")
    assert deployment.gpu.requests == 1


@pytest.mark.parametrize("limit", ["MAX_UNPACKED", "MAX_ANSWER"])
@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_is_too_long_is_not_kept_and_not_given_twice(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, stream: bool, limit: str
) -> None:
    monkeypatch.setattr(keeping, limit, 100)
    response = await ask(deployment, stream=stream)
    assert response.status_code == 200
    assert ANSWER in response.text or response.content.endswith(DONE)
    assert code_of(await ask(deployment, stream=stream)) == (409, "idempotency_answer_not_kept")
    assert deployment.gpu.requests == 1


async def test_a_long_answer_is_kept_compressed(deployment: Deployment) -> None:
    words = [f"word{number % 1_000} " for number in range(10_000)]

    async def talk(call: Call) -> None:
        await call.claim()
        await call.begin(200, STARTED)
        for word in words:
            await call.part(event(chunk_of(call, word)))
        await call.part(DONE)
        await call.end()

    deployment.gpu.behave = talk
    ledger = await Watched.within(deployment)
    first = await ask(deployment, stream=True)
    stored = ledger.arguments["remember"][0][3]
    assert len(stored.body) * 5 < len(first.content)
    assert (await ask(deployment, stream=True)).content == first.content


# -- what is forgotten, so that a retry runs


async def _refuse(call: Call) -> None:
    await call.refuse(Unavailable("full", code="queue_full"))


async def _break_off(call: Call) -> None:
    if call.streams:
        await call.begin(200, STARTED)
        await call.part(event(chunk_of(call, WORDS[0])))
        await call.wait_until_heard()


async def _no_answer(call: Call) -> None:
    await call.respond(200, {"content-type": "text/html"}, b"<p>hello</p>")


@pytest.mark.parametrize("behave", [_refuse, _break_off, _no_answer])
@pytest.mark.parametrize("stream", [False, True])
async def test_what_failed_is_forgotten_and_a_retry_runs(deploy: Deploy, behave: Any, stream: bool) -> None:
    deployment = await deploy(account_limits=LIMITS, heartbeat_after_s=5)
    deployment.gpu.behave = behave
    async with deployment.client.stream(
        "POST", PATH, json={**CHAT, "stream": stream}, headers={**deployment.owner.bearer, **KEY}
    ) as response:
        async for _ in response.aiter_raw():
            for call in deployment.gpu.calls:
                call.heard.set()
    deployment.gpu.behave = answer
    response = await ask(deployment, stream=stream)
    assert response.status_code == 200
    assert "idempotent-replayed" not in response.headers
    assert (await ask(deployment, stream=stream)).content == response.content


async def test_a_request_that_was_refused_for_its_limits_runs_when_there_is_room(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=Limits(concurrent_requests=0))
    assert (await ask(deployment)).status_code == 429
    await deployment.ledger.set_account(deployment.owner.caller.account.id, enabled=True, limits=Limits())
    response = await ask(deployment)
    assert response.status_code == 200
    assert "idempotent-replayed" not in response.headers


# -- a client that leaves


async def leave(deployment: Deployment, *, stream: bool, after_a_part: bool = False) -> None:
    """Ask, and go once the GPU works on it, or once a part of the answer has come."""
    body = {**CHAT, "stream": stream}
    async with httpx2.AsyncClient(base_url=deployment.url) as client:
        if after_a_part:
            async with client.stream("POST", PATH, json=body, headers={**deployment.owner.bearer, **KEY}) as response:
                await anext(response.aiter_raw())
            return
        asking = asyncio.create_task(client.post(PATH, json=body, headers={**deployment.owner.bearer, **KEY}))
        await deployment.gpu.called.wait()
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


@pytest.mark.parametrize(("stream", "after_a_part"), [(False, False), (True, False), (True, True)])
async def test_the_answer_of_a_client_that_left_is_finished_for_its_retry(
    deploy: Deploy, logged: Logged, stream: bool, after_a_part: bool
) -> None:
    deployment = await deploy(account_limits=LIMITS, relay_connections=1)

    async def once_it_has_left(call: Call) -> None:
        await call.claim()
        if after_a_part:
            await call.begin(200, STARTED)
            await call.part(stream_of(call)[0])
        async with asyncio.timeout(20):
            while not deployment.edge.unattended.locked():
                await asyncio.sleep(0.01)
        if not after_a_part:
            await call.begin(200, STARTED if stream else {"content-type": "application/json"})
        for part in stream_of(call)[after_a_part:] if stream else [orjson.dumps({"made": call.ticket.lease.id})]:
            await call.part(part)
        await call.settle()
        await call.end()

    deployment.gpu.behave = once_it_has_left
    await leave(deployment, stream=stream, after_a_part=after_a_part)
    (line,) = await logged.wait(1)
    assert (line["status"], line["unattended"]) == (200, True)
    response = await ask(deployment, stream=stream)
    assert response.headers["idempotent-replayed"] == "true"
    (call,) = deployment.gpu.calls
    assert call.ticket.lease.id in response.text
    assert not stream or response.content == b"".join(stream_of(call))
    assert not deployment.edge.unattended.locked()


async def test_only_so_many_go_on_without_their_client(deploy: Deploy) -> None:
    deployment = await deploy(account_limits=LIMITS)
    deployment.edge.unattended = asyncio.Semaphore(0)
    deployment.gpu.behave = lambda call: call.gone.wait()  # type: ignore[assignment, return-value]
    await leave(deployment, stream=True)
    await asyncio.wait_for(deployment.gpu.calls[0].gone.wait(), 10)
    await wait_for(deployment, Idempotency.FRESH)


@pytest.mark.parametrize("stream", [False, True])
async def test_the_end_of_the_process_cuts_it_and_forgets_it(deployment: Deployment, stream: bool) -> None:
    async def hang(call: Call) -> None:
        if call.streams:
            await call.begin(200, STARTED)
            await call.part(stream_of(call)[0])
        await call.gone.wait()

    deployment.gpu.behave = hang
    body = orjson.dumps({**CHAT, "stream": stream})
    incoming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    incoming.put_nowait({"type": "http.request", "body": body, "more_body": False})
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(name.lower().encode(), value.encode()) for name, value in {**deployment.owner.bearer, **KEY}.items()]
    scope = {"type": "http", "method": "POST", "path": PATH, "headers": headers, "query_string": b""}
    serving = asyncio.create_task(deployment.app(scope, incoming.get, send))
    await deployment.gpu.called.wait()
    incoming.put_nowait({"type": "http.disconnect"})
    await asyncio.sleep(0.05)
    assert not serving.done()
    serving.cancel()
    await serving
    assert b"edge_stopping" in b"".join(message.get("body", b"") for message in sent)
    account = deployment.owner.caller.account.id
    again = await deployment.ledger.begin(
        account, "order-66", fingerprint("POST", PATH, body), "test", now=now_ms(), expires_at=now_ms() + SECOND
    )
    assert again is Idempotency.FRESH


# -- a ledger that is away


async def test_a_ledger_that_is_away_at_the_beginning_is_a_503(deployment: Deployment) -> None:
    ledger = await Watched.within(deployment)
    ledger.away = {"begin"}
    assert code_of(await ask(deployment)) == (503, "ledger_unavailable")
    assert deployment.gpu.requests == 0
    assert ledger.calls["abandon"] == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_a_ledger_that_is_away_at_the_end_does_not_keep_the_answer_from_its_client(
    logged: Logged, deploy: Deploy, stream: bool
) -> None:
    deployment = await deploy()
    ledger = await Watched.within(deployment)
    ledger.away = {"remember"}
    response = await ask(deployment, stream=stream)
    assert response.status_code == 200
    assert response.content.endswith(DONE) if stream else response.json()["choices"]
    # It was paid for, so it is not forgotten: the key stays taken until it ends by itself.
    assert code_of(await ask(deployment, stream=stream)) == (409, "idempotency_in_flight")
    lines = await logged.wait(2)  # of which a stream's may come after that of the next request
    assert [line["idempotency"] for line in lines if line["status"] == 200] == ["not_remembered"]


async def test_a_ledger_that_is_away_when_a_request_failed_keeps_the_gpus_error(logged: Logged, deploy: Deploy) -> None:
    deployment = await deploy()
    ledger = await Watched.within(deployment)
    ledger.away = {"abandon"}
    deployment.gpu.behave = _refuse
    assert code_of(await ask(deployment)) == (503, "queue_full")
    assert (await logged.wait(1))[0]["idempotency"] == "not_abandoned"


def test_a_fingerprint_is_of_route_and_body() -> None:
    prints = {
        fingerprint(method, path, body)
        for method in ("POST", "PUT")
        for path in ("/v1/chat/completions", "/v1/completions")
        for body in (b"", b"{}", b"{} ")
    }
    assert len(prints) == 12
    assert all(len(one) == 64 for one in prints)
