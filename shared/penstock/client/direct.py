"""Calls to Modal, without an HTTP endpoint in between: the same client over the deployed class of a model.

`penstock[modal]` has what it needs, and Modal's own token says who calls; an API key, where one is given, says
who pays. What is asked and answered is the same as over HTTPS, and so are its errors.

Modal's client tells nobody when a stream is abandoned: the generation would run to its end, and be paid. So the
first item of each call names it, and whoever leaves early cancels it by that name; Modal hands that to the
container, where it ends one task. A call that is left before its first item came (a container starts) is
cancelled when that comes, as long as this process lives and its client is open, or was just closed. Nothing can be
cancelled by a process that is gone: then `max_tokens` is the bound.

Nor does Modal's client tell of a stream that broke off: one whose container dies may just end. So each has an end of
its own, an empty item.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any, TypeVar
from urllib.parse import unquote

import modal
import modal.exception
import orjson

from penstock.client.call import (
    Answer,
    AsyncDownloaded,
    AsyncStreamed,
    Call,
    Downloaded,
    Reply,
    Streamed,
    Timeout,
    Upload,
)
from penstock.client.errors import (
    ConnectionFailed,
    Misconfigured,
    NotAvailable,
    PenstockError,
    StatusError,
    TimedOut,
    UnexpectedAnswer,
    status_error,
)
from penstock.client.http import DEFAULT_TIMEOUT
from penstock.client.loop_thread import Closed, LoopThread
from penstock.client.retries import MOST_RETRIES, Tries, repeatable
from penstock.deployment import DESK, class_name
from penstock.errors import ApiError, BodyTooLarge, Internal, RateLimited, UpstreamFailed

CANCEL_WITHIN_S = 10.0
BEGIN_WITHIN_S = 5.0  # how long a client that is closed waits for what it left; longer is a container that starts
START_WITHIN_S = 900.0  # how long a call that was left is waited for, to be cancelled once it has begun

T = TypeVar("T")

_GENERATED = frozenset({"/chat/completions", "/completions", "/embeddings"})
_MODELS, _USAGE = "/models", "/usage"


class AsyncModalCaller:
    """An AsyncCaller of one deployed model. `environment` is Modal's; without it, the profile's.

    Raises Misconfigured.
    """

    def __init__(
        self,
        app: str,
        model: str,
        *,
        api_key: str | None = None,
        environment: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
    ) -> None:
        if not 0 <= max_retries <= MOST_RETRIES:
            raise Misconfigured(f"max_retries must be from 0 to {MOST_RETRIES}, not {max_retries}")
        self._where = f"the model {model!r} of the app {app!r}"
        self._deployed = modal.Cls.from_name(app, class_name("Generator", model), environment_name=environment)
        self._desk = modal.Cls.from_name(app, DESK, environment_name=environment)
        self._api_key = api_key
        self._timeout = timeout
        self._max_retries = max_retries
        self._running: set[str] = set()  # Modal's ids of the calls that have begun
        self._left: dict[asyncio.Task[None], asyncio.Future[Any]] = {}  # and the item that each waits for

    async def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        return await self._repeat(call, self._whole if call.path in _GENERATED else self._asked)

    async def stream(self, call: Call) -> AsyncStreamed:
        """The answer, once it was admitted. After that nothing is repeated."""
        return await self._repeat(call, self._begin)

    async def download(self, call: Call) -> AsyncDownloaded:
        """Files are the API's alone."""
        raise _not_here(call.path)

    async def upload(self, upload: Upload) -> None:
        """Files are the API's alone."""
        raise _not_here("an upload")

    async def close(self) -> None:
        """Cancel what runs. What was left before it had begun is waited for a little, to be cancelled when it has."""
        if self._left:
            await asyncio.wait(self._left, timeout=BEGIN_WITHIN_S)
        for coming in self._left.values():
            coming.cancel()
        await asyncio.gather(*self._left, *map(_cancel, self._running), return_exceptions=True)

    async def _repeat(self, call: Call, once: Callable[[Call, int], Awaitable[T]]) -> T:
        _require_direct(call)
        tries = Tries(self._max_retries, repeatable=repeatable(call), patience=0.0)
        while True:
            try:
                return await once(call, tries.retries)
            except PenstockError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _whole(self, call: Call, retries: int) -> Answer:
        began = await self._begin(call, retries)
        # To the end of the call, though there is one answer: who leaves earlier would cancel it.
        answers = [answer async for answer in began.chunks]
        if len(answers) != 1:
            raise UnexpectedAnswer(f"{self._where} gave {len(answers)} answers")
        return Answer(answers[0], began.reply)

    async def _asked(self, call: Call, retries: int) -> Answer:
        """The answer to a call that generates nothing: there is nothing to cancel."""
        desk, asked = self._desk(), {"api_key": self._api_key}
        with _failures(self._where):
            async with asyncio.timeout(self._silence(call)):
                if call.path == _USAGE:
                    body = await desk.usage.remote.aio(dict(call.query), **asked)
                else:
                    name = unquote(call.path.removeprefix(_MODELS).removeprefix("/")) or None
                    body = await desk.models.remote.aio(name, **asked)
        return Answer(body, Reply(None, {}, retries))

    def _silence(self, call: Call) -> float | None:
        return _seconds(self._timeout if call.timeout is None else call.timeout)

    async def _begin(self, call: Call, retries: int) -> AsyncStreamed:
        items = self._items(call, self._silence(call))
        try:
            head = await anext(items)
        except StopAsyncIteration:
            raise UnexpectedAnswer(f"{self._where} ended without an answer") from None
        chunks = _flat(items)
        await anext(chunks)
        return AsyncStreamed(chunks, Reply(head.get("request"), {}, retries))

    async def _items(self, call: Call, silence: float | None) -> AsyncGenerator[Any]:
        """The items of the call: a dict, then lists. Leaving them before the last cancels it."""
        items = self._deployed().generate.remote_gen.aio(_request_of(call), api_key=self._api_key)
        begun: str | None = None
        coming = asyncio.ensure_future(anext(items))
        try:
            while True:
                with _failures(self._where):
                    try:
                        item = await _within(silence, coming)
                    except StopAsyncIteration:
                        return
                self._require(dict if begun is None else list, item)
                if begun is None:
                    begun = str(item.get("call"))
                    self._running.add(begun)
                coming = asyncio.ensure_future(anext(items))
                yield item
        finally:
            if begun is not None:
                self._running.discard(begun)
            if not _ended(coming):
                await asyncio.shield(self._leave(items, coming, begun))
            else:
                await items.aclose()  # nothing, but where its last item came and its end did not

    def _require(self, kind: type[Any], item: Any) -> None:
        if not isinstance(item, kind):
            raise UnexpectedAnswer(f"{self._where} does not answer as Penstock does")

    async def _leave(self, items: AsyncGenerator[Any], coming: "asyncio.Future[Any]", begun: str | None) -> None:
        """Cancel a call that is running, now, or once it runs. `coming` is its next item."""
        left = asyncio.create_task(_cancel_once_begun(items, coming, begun))
        self._left[left] = coming
        left.add_done_callback(self._left.pop)
        if begun is not None or coming.done():
            await left


class ModalCaller:
    """The same, blocking; threads may share it. An event loop of its own waits for them."""

    def __init__(self, *args: Any, **options: Any) -> None:
        self._caller = AsyncModalCaller(*args, **options)
        self._loop = LoopThread("penstock-direct")

    def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        return self._loop.run(self._caller.whole(call))

    def stream(self, call: Call) -> Streamed:
        """The answer, once it was admitted."""
        begun = self._loop.run(self._caller.stream(call))
        return Streamed(self._loop.iterate(begun.chunks), begun.reply)

    def download(self, call: Call) -> Downloaded:
        """Files are the API's alone."""
        raise _not_here(call.path)

    def upload(self, upload: Upload) -> None:
        """Files are the API's alone."""
        raise _not_here("an upload")

    def close(self) -> None:
        """Cancel what runs, and end the loop."""
        with suppress(Closed):
            self._loop.run(self._caller.close())
        self._loop.close()


async def _flat(items: AsyncGenerator[Any]) -> AsyncGenerator[dict[str, Any]]:
    """The chunks of all items; what comes first is for its maker: from here on the call ends with this."""
    async with aclosing(items):
        yield {}
        item = None
        async for item in items:
            for chunk in item:
                yield chunk
        if item != []:
            raise ConnectionFailed("the answer broke off")


async def _cancel(call: str) -> None:
    """Have Modal end the call's task. What cannot be told in time is let go: `max_tokens` bounds it."""
    with suppress(modal.exception.Error, OSError, TimeoutError):
        async with asyncio.timeout(CANCEL_WITHIN_S):
            await modal.FunctionCall.from_id(call).cancel.aio()


async def _cancel_once_begun(items: AsyncGenerator[Any], coming: "asyncio.Future[Any]", begun: str | None) -> None:
    try:
        with suppress(Exception):  # of a call that nobody waits for
            if begun is None:
                begun = (await _within(START_WITHIN_S, coming))["call"]
            await _cancel(begun)
    finally:
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
        with suppress(Exception):
            await items.aclose()


def _ended(coming: "asyncio.Future[Any]") -> bool:
    """Whether the call has ended by itself: with an error, or with its last item. Then nothing is to be cancelled."""
    if not coming.done() or coming.cancelled():
        return False
    return coming.exception() is not None or coming.result() == []


async def _within(seconds: float | None, coming: "asyncio.Future[Any]") -> Any:
    """What comes, which goes on coming where it is not waited for any more. Raises TimeoutError."""
    await asyncio.wait({coming}, timeout=seconds)
    if not coming.done():
        raise TimeoutError
    return coming.result()


def _require_direct(call: Call) -> None:
    asked = call.path in (_MODELS, _USAGE) or call.path.startswith(f"{_MODELS}/")
    if not asked and call.path not in _GENERATED:
        raise _not_here(call.path)
    if call.idempotency_key is not None:
        raise _not_here("Idempotency-Key")


def _request_of(call: Call) -> Any:
    """The request that it makes. No call that is answered here has a body that is read as it is sent."""
    if not isinstance(call.body, bytes):
        raise _not_here(call.path)
    return orjson.loads(call.body)


def _not_here(what: str) -> NotAvailable:
    return NotAvailable(f"{what} is not available on the direct path; ask the API over HTTPS")


def _seconds(timeout: Timeout | None) -> float | None:
    """How long nothing may come: over HTTPS that is the time to read."""
    chosen = DEFAULT_TIMEOUT if timeout is None else timeout
    return chosen if isinstance(chosen, float | int) else chosen.read


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """Whatever goes wrong, as a PenstockError."""
    try:
        yield
    except ApiError as error:
        raise _refused(error) from error
    except (Exception, modal.exception.InputCancellation) as error:
        raise _failure(where, error) from error


def _failure(where: str, error: BaseException) -> PenstockError:
    """The client's own error for one of Modal's, or of the code in the container, which has none of its own for it."""
    said = " ".join(str(error).split())[:500] or type(error).__name__
    for kinds, told in _FAILURES:
        if isinstance(error, kinds):
            return told(where, said)
    return _refused(Internal(f"{where} failed: {type(error).__name__}"))


def _refused(error: ApiError) -> StatusError:
    return status_error(error.status, error.envelope(), error.headers)


_FAILURES: tuple[tuple[tuple[type[BaseException], ...], Callable[[str, str], PenstockError]], ...] = (
    ((TimeoutError,), lambda where, _: TimedOut(f"{where} said nothing for too long")),
    (
        (modal.exception.NotFoundError,),
        lambda where, said: Misconfigured(f"{where} is not deployed on Modal: {said}"),
    ),
    (
        (modal.exception.AuthError, modal.exception.PermissionDeniedError),
        lambda _, said: Misconfigured(f"Modal does not accept the token: {said}"),
    ),
    (
        (modal.exception.InvalidError, modal.exception.VersionError, modal.exception.UnimplementedError),
        lambda _, said: Misconfigured(f"Modal does not take the call: {said}"),
    ),
    (
        (modal.exception.RequestSizeError,),
        lambda _, said: _refused(BodyTooLarge(f"Modal does not take so large a request: {said}")),
    ),
    (
        # Not tried again: it may be about a call that has begun.
        (modal.exception.ResourceExhaustedError,),
        lambda _, said: _refused(RateLimited(f"Modal refuses: {said}", headers={"x-should-retry": "false"})),
    ),
    (
        (OSError, modal.exception.ConnectionError, modal.exception.ServiceError, modal.exception.ClientClosed),
        lambda _, said: ConnectionFailed(f"the connection to Modal failed: {said}"),
    ),
    (
        (modal.exception.InputCancellation,),
        lambda _, said: _refused(UpstreamFailed(f"The call was cancelled: {said}")),
    ),
    ((modal.exception.Error,), lambda where, said: _refused(UpstreamFailed(f"{where} failed: {said}"))),
)
