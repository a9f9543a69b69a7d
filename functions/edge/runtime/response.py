"""The response to one invocation: ASGI's messages, sent to the Runtime API as they come.

Nothing is sent before the app begins its answer. From then on every part of the body is a chunk, flushed at once; the
app waits while the Runtime API takes no more. What goes wrong after the beginning cannot change the status any more:
it ends a stream of events with one that tells the error, and any response with trailers that tell it to Lambda.
"""

import asyncio
from collections.abc import Coroutine
from typing import Any

import orjson
from starlette.types import Message

from functions.edge.runtime.api import FunctionError, ResponseRefused, RuntimeApi, RuntimeApiFailed, Upload
from functions.edge.runtime.prelude import prelude
from penstock.errors import ApiError
from penstock.schemas.completion import error_event

_EVENTS = b"text/event-stream"
_END_OF_EVENT = b"\n\n"


class UnexpectedMessage(Exception):
    """The app has sent a message that ASGI does not allow there."""


class LambdaResponse:
    """One response: not begun, begun, and ended."""

    def __init__(self, api: RuntimeApi, request_id: str, *, method: str, multi_value: bool) -> None:
        self._api = api
        self._request_id = request_id
        self._method = method
        self._multi_value = multi_value
        self._upload: Upload | None = None
        self._opened = asyncio.Event()
        self._has_body = True
        self._tail: bytes | None = None  # of a stream of events, the last bytes that went out
        self.begun = False
        self.ended = False
        self.refusal: ResponseRefused | RuntimeApiFailed | None = None

    async def send(self, message: Message) -> None:
        """ASGI's `send`. Raises UnexpectedMessage, PreludeTooLong, ResponseRefused, RuntimeApiFailed."""
        if message["type"] == "http.response.start" and not self.begun:
            await self._noted(self._begin(message["status"], list(message.get("headers", []))))
        elif message["type"] == "http.response.body" and self.begun and not self.ended:
            send = self._part if message.get("more_body", False) else self._end
            await self._noted(send(message.get("body", b"")))
        else:
            state = "ended" if self.ended else "begun" if self.begun else "not begun"
            raise UnexpectedMessage(f"{message['type']}, where the answer is {state}")

    async def refuse(self, error: ApiError) -> None:
        """Answer with the error, whole. Only where nothing was begun. Raises what `send` raises."""
        headers = [(b"content-type", b"application/json")]
        headers += [(name.lower().encode(), value.encode()) for name, value in error.headers.items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": headers})
        await self.send({"type": "http.response.body", "body": orjson.dumps(error.envelope())})

    async def break_off(self, error: ApiError, function_error: FunctionError) -> None:
        """End what was begun and cannot be finished: with an event that tells the error, where it is events.

        Raises ResponseRefused, RuntimeApiFailed.
        """
        last = b""
        if self._tail is not None:
            last = (b"" if self._tail == _END_OF_EVENT else _END_OF_EVENT) + error_event(error.envelope())
        await self._noted(self._end(last, function_error))

    async def lost(self) -> None:
        """Returns where the Runtime API takes no more of the response before its end; `refusal` says why."""
        await self._opened.wait()
        if self._upload is not None:
            refusal = await self._upload.refusal()
            if not self.ended:
                self.refusal = refusal
                return
        await asyncio.get_running_loop().create_future()

    async def _begin(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        head = prelude(status, headers, multi_value=self._multi_value)
        self._has_body = self._method != "HEAD" and status not in (204, 304)
        if self._has_body and _are_events(headers):
            self._tail = _END_OF_EVENT
        self.begun = True
        self._upload = await self._api.respond(self._request_id, head)
        self._opened.set()

    async def _part(self, data: bytes) -> None:
        if not data or not self._has_body:
            return
        await self._open().part(data)
        if self._tail is not None:
            self._tail = (self._tail + data)[-len(_END_OF_EVENT) :]

    async def _end(self, last: bytes, error: FunctionError | None = None) -> None:
        self.ended = True
        await self._open().end(last if self._has_body else b"", error)

    def _open(self) -> Upload:
        if self._upload is None:
            raise ResponseRefused("it could not be begun")
        return self._upload

    async def _noted(self, sending: Coroutine[Any, Any, None]) -> None:
        """The app may swallow what is raised here."""
        try:
            await sending
        except (ResponseRefused, RuntimeApiFailed) as error:
            self.refusal = error
            raise


def _are_events(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name.lower() == b"content-type" and value.startswith(_EVENTS) for name, value in headers)
