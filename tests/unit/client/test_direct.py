"""Calls to Modal, against a script: what they ask, what comes of each error, and that what is left is cancelled."""

import asyncio
import gc
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import modal.exception
import orjson
import pytest

from penstock.client import (
    AsyncPenstock,
    BadRequest,
    BodyTooLarge,
    BudgetExceeded,
    ConnectionFailed,
    Misconfigured,
    NotAvailable,
    Penstock,
    PenstockError,
    RateLimited,
    ServerError,
    TimedOut,
    Unavailable,
    UnexpectedAnswer,
)
from penstock.client import direct as direct_module
from penstock.client.call import AsyncStreamed, Call
from penstock.client.direct import AsyncModalCaller, ModalCaller
from penstock.client.loop_thread import Closed
from penstock.errors import ApiError, Internal
from penstock.errors import BadRequest as Refused
from penstock.errors import BudgetExceeded as Overspent
from penstock.errors import Unavailable as Away
from tests.unit.client.scripted_modal import FOREVER, ScriptedModal, head, scripted

__all__ = ["scripted"]

pytestmark = pytest.mark.anyio

ASKED = {"model": "demo", "messages": [{"role": "user", "content": "hi"}]}
CHAT = Call(method="POST", path="/chat/completions", body=orjson.dumps(ASKED))
ANSWER = {"object": "chat.completion"}
ONE, TWO, THREE = ({"number": number} for number in (1, 2, 3))
PATIENCE_S = 30.0


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No task's exception goes unheard, and none is destroyed while it is pending."""
    yield
    gc.collect()
    assert [record.message for record in caplog.records if record.name == "asyncio"] == []


def caller(**options: Any) -> AsyncModalCaller:
    return AsyncModalCaller("penstock", "demo", **options)


async def read(streamed: AsyncStreamed) -> list[dict[str, Any]]:
    return [chunk async for chunk in streamed.chunks]


async def until(condition: Any) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.001)


async def test_a_whole_answer_is_asked_of_the_models_class(scripted: ScriptedModal) -> None:
    scripted.play((head(), [ANSWER], []))
    answer = await caller(api_key="ps_key", environment="staging").whole(CHAT)
    assert (answer.body, answer.reply.request_id, answer.reply.retries) == (ANSWER, "req_1", 0)
    assert ("penstock", "Generator_demo", "staging") in scripted.found
    assert scripted.requests == [{**ASKED, "api_key": "ps_key"}]
    assert (scripted.cancelled, scripted.closed) == ([], 1)


async def test_a_stream_is_all_chunks_of_all_items(scripted: ScriptedModal) -> None:
    scripted.play((head(), [ONE, TWO], [THREE], []))
    streamed = await caller().stream(CHAT)
    assert streamed.reply.request_id == "req_1"
    assert await read(streamed) == [ONE, TWO, THREE]
    await streamed.chunks.aclose()
    assert (scripted.cancelled, scripted.closed) == ([], 1)


async def test_a_stream_that_just_ends_broke_off(scripted: ScriptedModal) -> None:
    """A second delivery that yields less makes Modal's client end the stream without an error."""
    scripted.play((head(), [ONE]), (head(), [ANSWER]), (head(),))
    streamed = await caller().stream(CHAT)
    assert await anext(streamed.chunks) == ONE
    for answer in (anext(streamed.chunks), caller().whole(CHAT), caller().whole(CHAT)):
        with pytest.raises(ConnectionFailed, match="the answer broke off"):
            await answer
    assert scripted.cancelled == []


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ((head(), [ANSWER, ANSWER], []), "gave 2 answers"),
        ((head(), []), "gave 0 answers"),
        ((), "ended without an answer"),
        (([ONE], []), "does not answer as Penstock does"),
        (("fc-1", []), "does not answer as Penstock does"),
        ((head(), {"number": 1}, []), "does not answer as Penstock does"),
    ],
)
async def test_what_is_no_answer_is_told(scripted: ScriptedModal, script: Any, said: str) -> None:
    scripted.play(script)
    with pytest.raises(UnexpectedAnswer, match=said):
        await caller().whole(CHAT)
    assert scripted.closed == 1


MODALS: list[tuple[BaseException, type[PenstockError], str]] = [
    (modal.exception.NotFoundError("no App"), Misconfigured, "is not deployed on Modal: no App"),
    (modal.exception.AuthError("Token missing"), Misconfigured, "does not accept the token: Token missing"),
    (modal.exception.PermissionDeniedError("no"), Misconfigured, "does not accept the token"),
    (modal.exception.InvalidError("no such environment"), Misconfigured, "no such environment"),
    (modal.exception.VersionError("too old"), Misconfigured, "too old"),
    (modal.exception.RequestSizeError("too large"), BodyTooLarge, "too large"),
    (modal.exception.ResourceExhaustedError("too many"), RateLimited, "too many"),
    (modal.exception.ConnectionError("no route"), ConnectionFailed, "the connection to Modal failed: no route"),
    (modal.exception.ServiceError("away"), ConnectionFailed, "the connection to Modal failed"),
    (modal.exception.ClientClosed(""), ConnectionFailed, "ClientClosed"),
    (ConnectionResetError("reset"), ConnectionFailed, "reset"),
    (modal.exception.FunctionTimeoutError("an hour"), ServerError, "failed: an hour"),
    (modal.exception.RemoteError("died"), ServerError, "failed: died"),
    (modal.exception.ExecutionError("a\nb"), ServerError, "failed: a b"),
    (modal.exception.InputCancellation("cancelled"), ServerError, "was cancelled"),
    (ZeroDivisionError("a secret"), ServerError, "failed: ZeroDivisionError$"),
]


@pytest.mark.parametrize(("error", "kind", "said"), MODALS, ids=[type(error).__name__ for error, *_ in MODALS])
@pytest.mark.parametrize("begun", [False, True])
async def test_modals_errors_are_the_clients(
    scripted: ScriptedModal, error: BaseException, kind: type[PenstockError], said: str, begun: bool
) -> None:
    scripted.play((head(), error) if begun else (error,))
    with pytest.raises(kind, match=said):
        await caller().whole(CHAT)
    # It has ended by itself, and may have begun: it is neither cancelled nor tried again.
    assert (scripted.cancelled, len(scripted.requests)) == ([], 1)


async def test_no_error_of_modals_is_left_out(scripted: ScriptedModal) -> None:
    kinds = [kind for kind in vars(modal.exception).values() if isinstance(kind, type)]
    errors = [kind for kind in kinds if issubclass(kind, modal.exception.Error)]
    assert len(errors) > 30
    image = modal.exception.ImageBuildError
    scripted.play(*((kind("said", "im-1") if kind is image else kind("said"),) for kind in errors))
    for _ in errors:
        with pytest.raises(PenstockError):
            await caller().whole(CHAT)


async def test_a_refusal_has_its_class_its_limit_and_its_time(scripted: ScriptedModal) -> None:
    limit = {"name": "monthly_budget_usd", "limit": 5}
    scripted.play(
        (Overspent("Spent.", details={"limit": limit}, headers={"Retry-After": "90"}),),
        (Refused("Wrong.", param="temperature", code="invalid_value"),),
    )
    with pytest.raises(BudgetExceeded, match=r"^Spent\.$") as spent:
        await caller().whole(CHAT)
    assert (spent.value.status, spent.value.limit, spent.value.retry_after) == (402, limit, 90.0)
    with pytest.raises(BadRequest) as wrong:
        await caller().whole(CHAT)
    assert (wrong.value.status, wrong.value.param, wrong.value.code) == (400, "temperature", "invalid_value")


def busy(status: int = 429) -> ApiError:
    error = Away("Later.", retry_after=0)
    error.status = status
    return error


@pytest.mark.parametrize("status", [429, 503])
async def test_a_call_that_is_refused_for_now_is_asked_again(scripted: ScriptedModal, status: int) -> None:
    scripted.play((busy(status),), (busy(status),), (head(3), [ANSWER], []))
    answer = await caller().whole(CHAT)
    assert (answer.reply.retries, answer.reply.request_id) == (2, "req_3")


async def test_a_whole_call_that_is_refused_once_it_is_admitted_is_asked_again(scripted: ScriptedModal) -> None:
    scripted.play((head(1), busy(503)), (head(2), [ANSWER], []))
    assert (await caller().whole(CHAT)).reply.request_id == "req_2"
    assert scripted.cancelled == []


@pytest.mark.parametrize(
    "error", [Internal("Ours."), Refused("Wrong."), Away("Bad.", retry_after=61), modal.exception.ConnectionError("?")]
)
async def test_what_may_have_begun_or_will_not_pass_is_not_asked_again(
    scripted: ScriptedModal, error: Exception
) -> None:
    scripted.play((error,))
    with pytest.raises(PenstockError):
        await caller(max_retries=10).whole(CHAT)
    assert len(scripted.requests) == 1


async def test_the_tries_end(scripted: ScriptedModal) -> None:
    scripted.play((busy(),), (busy(),), (busy(),))
    with pytest.raises(RateLimited):
        await caller(max_retries=1).whole(CHAT)
    assert len(scripted.requests) == 2
    with pytest.raises(Misconfigured, match="max_retries"):
        caller(max_retries=-1)


async def test_a_stream_that_is_left_is_cancelled_once(scripted: ScriptedModal) -> None:
    scripted.play((head(), [ONE, TWO], FOREVER))
    streamed = await caller().stream(CHAT)
    await anext(streamed.chunks)
    await streamed.chunks.aclose()
    await streamed.chunks.aclose()
    assert (scripted.cancelled, scripted.closed) == (["fc-1"], 1)


async def test_who_is_cancelled_cancels_the_call(scripted: ScriptedModal) -> None:
    scripted.play((head(), [ONE], FOREVER))
    asking = asyncio.create_task(caller().whole(CHAT))
    await until(lambda: scripted.requests)
    await asyncio.sleep(0.01)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert (scripted.cancelled, scripted.closed) == (["fc-1"], 1)


async def test_a_call_that_is_left_before_it_began_is_cancelled_when_it_has(scripted: ScriptedModal) -> None:
    starts = asyncio.Event()
    scripted.play((starts, head(), FOREVER))
    cold = caller()
    asking = asyncio.create_task(cold.stream(CHAT))
    await until(lambda: scripted.requests)
    asking.cancel()
    await asyncio.wait({asking})
    assert scripted.cancelled == []
    starts.set()
    await until(lambda: scripted.closed)
    assert scripted.cancelled == ["fc-1"]
    await cold.close()


async def test_a_client_that_is_closed_cancels_what_begins_just_then(scripted: ScriptedModal) -> None:
    starts = asyncio.Event()
    scripted.play((starts, head(), FOREVER))
    cold = caller()
    asking = asyncio.create_task(cold.stream(CHAT))
    await until(lambda: scripted.requests)
    asking.cancel()
    await asyncio.wait({asking})
    closing = asyncio.create_task(cold.close())
    await asyncio.sleep(0.01)
    starts.set()
    await closing
    assert (scripted.cancelled, scripted.closed) == (["fc-1"], 1)


async def test_a_client_that_is_closed_does_not_wait_for_a_container_that_starts(
    scripted: ScriptedModal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(direct_module, "BEGIN_WITHIN_S", 0.0)
    scripted.play((asyncio.Event(), head()))
    cold = caller(timeout=0.01)
    with pytest.raises(TimedOut):
        await cold.stream(CHAT)
    async with asyncio.timeout(PATIENCE_S):
        await cold.close()
    assert (scripted.cancelled, scripted.closed) == ([], 1)


@pytest.mark.parametrize("begun", [False, True])
async def test_a_silence_that_is_too_long_ends_the_call(scripted: ScriptedModal, begun: bool) -> None:
    silence = asyncio.Event()
    scripted.play((head(), [ONE], silence, [TWO]) if begun else (silence, head(), [ONE]))
    hasty = caller(timeout=0.01)
    with pytest.raises(TimedOut, match="said nothing for too long"):
        await hasty.whole(CHAT)
    assert scripted.cancelled == (["fc-1"] if begun else [])
    silence.set()
    await until(lambda: scripted.closed)
    assert (scripted.cancelled, len(scripted.requests)) == (["fc-1"], 1)


async def test_the_calls_own_timeout_goes_before_the_clients(scripted: ScriptedModal) -> None:
    scripted.play((head(), FOREVER))
    with pytest.raises(TimedOut):
        await caller(timeout=600).whole(Call(method="POST", path=CHAT.path, body=CHAT.body, timeout=0.01))


@pytest.mark.parametrize("end", [(), ([],), (Internal("Ours."),)])
async def test_a_call_whose_end_has_come_is_not_cancelled_when_it_is_left(
    scripted: ScriptedModal, end: tuple[Any, ...]
) -> None:
    scripted.play((head(), [ONE], *end))
    streamed = await caller().stream(CHAT)
    await anext(streamed.chunks)
    await asyncio.sleep(0.01)  # what comes next has come by then
    await streamed.chunks.aclose()
    assert (scripted.cancelled, scripted.closed) == ([], 1)


async def test_a_client_that_is_closed_cancels_the_streams_that_are_open(scripted: ScriptedModal) -> None:
    scripted.play((head(1), [ONE], FOREVER), (head(2), [ONE], []))
    client = caller()
    left, read_to_its_end = await client.stream(CHAT), await client.stream(CHAT)
    await anext(left.chunks)
    await read(read_to_its_end)
    await client.close()
    assert scripted.cancelled == ["fc-1"]
    with pytest.raises(ServerError, match="was cancelled"):
        await read(left)


async def test_a_cancellation_that_modal_does_not_take_changes_nothing(
    scripted: ScriptedModal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(call: str) -> Any:
        raise modal.exception.ConnectionError(call)

    monkeypatch.setattr(modal.FunctionCall, "from_id", fail)
    scripted.play((head(), [ONE], asyncio.Event()))
    streamed = await caller().stream(CHAT)
    await streamed.chunks.aclose()
    assert scripted.closed == 1


async def test_models_and_usage_are_asked_at_the_desk(scripted: ScriptedModal) -> None:
    model = {"id": "org/Name", "object": "model", "created": 1, "owned_by": "me"}
    scripted.play(({"object": "list", "data": [model]},), (model,), (Internal("Ours."),), (asyncio.Event(),))
    client = AsyncPenstock.direct(
        "penstock", "demo", api_key="ps_key", environment="staging", timeout=0.01, max_retries=0
    )
    assert [each.id for each in (await client.models.list()).data] == ["org/Name"]
    assert (await client.models.retrieve("org/Näme?")).id == "org/Name"
    with pytest.raises(ServerError, match="Ours"):
        await client.usage.list(of="account")
    with pytest.raises(TimedOut):
        await client.usage.list()
    assert ("penstock", "Desk", "staging") in scripted.found
    assert [each["asked"] for each in scripted.requests] == [None, "org/Näme?", {"of": "account"}, {}]
    assert {each["api_key"] for each in scripted.requests} == {"ps_key"}


async def test_what_is_the_edges_alone_is_refused(scripted: ScriptedModal) -> None:
    penstock = AsyncPenstock.direct("penstock", "demo")
    with pytest.raises(NotAvailable, match="Idempotency-Key is not available"):
        await penstock.embeddings.create(model="demo", input="a", idempotency_key="once")
    with pytest.raises(NotAvailable, match="/admin is not available"):
        await caller().whole(Call(method="GET", path="/admin"))
    assert scripted.requests == []


def test_threads_share_a_blocking_client(scripted: ScriptedModal) -> None:
    scripted.play(*((head(number + 1), [ONE, TWO], [THREE], []) for number in range(64)))
    shared = ModalCaller("penstock", "demo")

    def ask(number: int) -> object:
        return list(shared.stream(CHAT).chunks)

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(ask, range(64)))
    shared.close()
    assert answers == [[ONE, TWO, THREE]] * 64
    assert scripted.cancelled == []


async def test_a_blocking_client_works_under_a_running_loop(scripted: ScriptedModal) -> None:
    scripted.play((head(1), [ANSWER], []), (head(2), [ONE], FOREVER))
    blocking = ModalCaller("penstock", "demo")
    assert blocking.whole(CHAT).body == ANSWER
    streamed = blocking.stream(CHAT)
    assert next(streamed.chunks) == ONE
    streamed.chunks.close()
    blocking.close()
    assert scripted.cancelled == ["fc-2"]


def test_a_blocking_stream_that_is_dropped_is_cancelled(scripted: ScriptedModal) -> None:
    scripted.play((head(), [ONE], FOREVER))
    blocking = ModalCaller("penstock", "demo")
    streamed = blocking.stream(CHAT)
    assert next(streamed.chunks) == ONE
    del streamed
    gc.collect()
    assert scripted.cancelled == ["fc-1"]
    blocking.close()


def test_a_blocking_client_that_is_closed_ends_its_streams_and_takes_no_more(scripted: ScriptedModal) -> None:
    scripted.play((head(1), [ONE], FOREVER))
    with Penstock.direct("penstock", "demo") as penstock:
        stream = penstock.chat.completions.create(model="demo", messages=[], stream=True)
    assert set(scripted.cancelled) == {"fc-1"}
    stream.close()
    penstock.close()
    with pytest.raises(Closed, match="closed"):
        penstock.completions.create(model="demo", prompt="a")


def test_a_refusal_reaches_the_thread_that_asked(scripted: ScriptedModal) -> None:
    scripted.play((Away("Bad.", retry_after=61),))
    blocking = ModalCaller("penstock", "demo")
    began = time.monotonic()
    with pytest.raises(Unavailable):
        blocking.whole(CHAT)
    assert time.monotonic() - began < PATIENCE_S
    blocking.close()


async def test_files_and_batches_are_not_on_this_way(scripted: ScriptedModal) -> None:
    async with AsyncPenstock.direct("penstock", "demo") as client:
        for call in (
            client.files.list(),
            client.files.create(file=b"x"),
            client.files.create(file=b"x" * 5_000_000),
            client.files.content("file-1"),
            client.batches.retrieve("batch_1"),
        ):
            with pytest.raises(NotAvailable, match="not available on the direct path"):
                await call
    assert scripted.requests == []


def test_nor_with_the_blocking_client(scripted: ScriptedModal) -> None:
    with Penstock.direct("penstock", "demo") as client:
        for call in (client.files.list, lambda: client.files.content("file-1")):
            with pytest.raises(NotAvailable, match="not available on the direct path"):
                call()
    assert scripted.requests == []
