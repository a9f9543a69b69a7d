"""Calls to Modal, without an HTTP endpoint in between: the same client over the deployed class of a model.

`penstock[modal]` has what it needs, and Modal's own token says who calls; an API key, where one is given, says
who pays. What is asked and answered is the same as over HTTPS, and so are its errors.

Modal's client tells nobody when a stream is abandoned: the generation would run to its end, and be paid. So the
first item of each call names it, and whoever leaves early cancels it by that name; Modal hands that to the
container, where it ends one task. A call that is left before its first item came (a container starts) is
cancelled when that comes, as long as this process lives. Nothing can be cancelled by a process that is gone:
then `max_tokens` is the bound.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager, suppress
from typing import Any

import modal
import modal.exception
import orjson

from penstock.client.call import Answer, AsyncStreamed, Call, Reply, Streamed, Timeout
from penstock.client.errors import (
    ConnectionFailed,
    Misconfigured,
    NotAvailable,
    PenstockError,
    TimedOut,
    UnexpectedAnswer,
    status_error,
)
from penstock.client.http import DEFAULT_TIMEOUT
from penstock.client.loop_thread import LoopThread
from penstock.client.retries import Tries
from penstock.deployment import class_name
from penstock.errors import ApiError, Internal, UpstreamFailed

CANCEL_WITHIN_S = 10.0
START_WITHIN_S = 900.0  # how long a call that was left is waited for, to be cancelled once it has begun

_PATHS = frozenset({"/chat/completions", "/completions", "/embeddings"})


class AsyncModalCaller:
    """An AsyncCaller of one deployed model. `environment` is Modal's; without it, the profile's."""

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
        self._where = f"the model {model!r} of the app {app!r}"
        self._deployed = modal.Cls.from_name(app, class_name("Generator", model), environment_name=environment)
        self._api_key = api_key
        self._timeout = timeout
        self._max_retries = max_retries
        self._left: set[asyncio.Task[None]] = set()  # calls that were left before they had begun

    async def whole(self, call: Call) -> Answer:
        """The answer, once it is whole."""
        began = await self._begin(call)
        # To the end of the call, though there is one answer: who leaves earlier would cancel it.
        answers = [answer async for answer in began.chunks]
        if len(answers) != 1:
            raise UnexpectedAnswer(f"{self._where} gave {len(answers)} answers")
        return Answer(answers[0], began.reply)

    async def stream(self, call: Call) -> AsyncStreamed:
        """The answer, once it was admitted. After that nothing is repeated."""
        return await self._begin(call)

    async def close(self) -> None:
        """Cancel what was left; what has not begun within ten seconds can only run to its end."""
        if self._left:
            await asyncio.wait(self._left, timeout=CANCEL_WITHIN_S)
        for left in self._left:
            left.cancel()
        await asyncio.gather(*self._left, return_exceptions=True)

    async def _begin(self, call: Call) -> AsyncStreamed:
        _require_direct(call)
        tries = Tries(call, self._max_retries, patience=0.0)
        while True:
            try:
                return await self._once(call, tries)
            except PenstockError as error:
                pause = tries.pause(error)
                if pause is None:
                    raise
            await asyncio.sleep(pause)

    async def _once(self, call: Call, tries: Tries) -> AsyncStreamed:
        silence = _seconds(self._timeout if call.timeout is None else call.timeout)
        items = self._items(call, silence)
        try:
            head = await anext(items)
        except StopAsyncIteration:
            raise UnexpectedAnswer(f"{self._where} ended without an answer") from None
        chunks = _flat(items)
        await anext(chunks)
        return AsyncStreamed(chunks, Reply(head.get("request"), {}, tries.retries))

    async def _items(self, call: Call, silence: float | None) -> AsyncGenerator[Any]:
        """The items of the call. Leaving them before the last cancels it."""
        items = self._deployed().generate.remote_gen.aio(orjson.loads(call.body), api_key=self._api_key)
        begun: str | None = None
        coming = asyncio.ensure_future(anext(items))
        over = False
        try:
            while True:
                with _failures(self._where):
                    try:
                        item = await _within(silence, coming)
                    except StopAsyncIteration:
                        over = True
                        return
                    except Exception:
                        over = coming.done()
                        raise
                if begun is None:
                    begun = item["call"]
                coming = asyncio.ensure_future(anext(items))
                yield item
        finally:
            if not over:
                await asyncio.shield(self._leave(items, coming, begun))

    async def _leave(self, items: AsyncGenerator[Any], coming: "asyncio.Future[Any]", begun: str | None) -> None:
        """Cancel a call that is running, now, or once it runs. `coming` is its next item."""
        left = asyncio.create_task(_cancel_once_begun(items, coming, begun))
        if begun is not None:
            await left
            return
        self._left.add(left)
        left.add_done_callback(self._left.discard)


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

    def close(self) -> None:
        """Cancel what was left and has not begun, and end the loop."""
        self._loop.run(self._caller.close())
        self._loop.close()


async def _flat(items: AsyncGenerator[Any]) -> AsyncGenerator[dict[str, Any]]:
    """The chunks of all items; what comes first is for its maker: from here on the call ends with this."""
    async with aclosing(items):
        yield {}
        async for item in items:
            for chunk in item:
                yield chunk


async def _cancel(call: str) -> None:
    """Have Modal end the call's task. What cannot be told in time is let go: `max_tokens` bounds it."""
    with suppress(modal.exception.Error, OSError, TimeoutError):
        async with asyncio.timeout(CANCEL_WITHIN_S):
            handle = await _from_id(call)
            await handle.cancel.aio()


async def _from_id(call: str) -> "modal.FunctionCall[Any]":
    return await asyncio.to_thread(modal.FunctionCall.from_id, call)


async def _cancel_once_begun(items: AsyncGenerator[Any], coming: "asyncio.Future[Any]", begun: str | None) -> None:
    with suppress(Exception):  # of a call that nobody waits for
        if begun is None:
            begun = (await _within(START_WITHIN_S, coming))["call"]
        await _cancel(begun)
    coming.cancel()
    await asyncio.gather(coming, return_exceptions=True)
    await items.aclose()


async def _within(seconds: float | None, coming: "asyncio.Future[Any]") -> Any:
    """What comes, which goes on coming where it is not waited for any more. Raises TimeoutError."""
    await asyncio.wait({coming}, timeout=seconds)
    if not coming.done():
        raise TimeoutError
    return coming.result()


def _require_direct(call: Call) -> None:
    if call.path not in _PATHS:
        raise NotAvailable(f"{call.path} is not available on the direct path; ask the API over HTTPS")
    if call.idempotency_key is not None:
        raise NotAvailable("Idempotency-Key is not available on the direct path; ask the API over HTTPS")


def _seconds(timeout: Timeout | None) -> float | None:
    """How long nothing may come: over HTTPS that is the time to read."""
    chosen = DEFAULT_TIMEOUT if timeout is None else timeout
    return chosen if isinstance(chosen, float | int) else chosen.read


@contextmanager
def _failures(where: str) -> Iterator[None]:
    """Whatever goes wrong, as a PenstockError."""
    try:
        yield
    except TimeoutError as error:
        raise TimedOut(f"{where} said nothing for too long") from error
    except ApiError as error:
        raise status_error(error.status, error.envelope(), error.headers) from error
    except modal.exception.NotFoundError as error:
        raise Misconfigured(f"{where} is not deployed on Modal: {_line(error)}") from error
    except modal.exception.AuthError as error:
        raise Misconfigured(f"Modal does not accept the token: {_line(error)}") from error
    except (modal.exception.ConnectionError, OSError) as error:
        raise ConnectionFailed(f"the connection to Modal failed: {_line(error)}") from error
    except modal.exception.Error as error:
        failed = UpstreamFailed(f"{where} failed: {_line(error)}")
        raise status_error(failed.status, failed.envelope(), {}) from error
    except Exception as error:  # of the code in the container, which has no error of its own for it
        broke = Internal(f"{where} failed: {type(error).__name__}")
        raise status_error(broke.status, broke.envelope(), {}) from error


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:500] or type(error).__name__
