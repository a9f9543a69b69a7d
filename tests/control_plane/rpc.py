"""Modal's gRPC service out of plain objects: the RPC AppCreate is the method `app_create` of one of them.

A method takes the request; it returns the answer, or yields it where the RPC streams. It refuses with
`Refusal`. An RPC that no object has answers UNIMPLEMENTED, one whose method fails answers FAILED_PRECONDITION
(which no client repeats); either is a problem in the record.
"""

import inspect
import re
import traceback
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from grpclib import GRPCError, Status
from grpclib.const import Handler
from grpclib.server import Stream
from modal_proto.api_grpc import ModalClientBase

from tests.control_plane.record import Record

Method = Callable[[Any], Any]
Serve = Callable[["Stream[Any, Any]"], Awaitable[None]]


class Refusal(GRPCError):
    """The answer is an error, as the service's is: its kind and one line."""

    @classmethod
    def not_found(cls, what: str) -> "Refusal":
        """There is no such thing: NotFoundError at the client."""
        return cls(Status.NOT_FOUND, f"{what} not found")

    @classmethod
    def already_exists(cls, what: str) -> "Refusal":
        """AlreadyExistsError at the client."""
        return cls(Status.ALREADY_EXISTS, f"{what} already exists")

    @classmethod
    def invalid(cls, why: str) -> "Refusal":
        """InvalidError at the client."""
        return cls(Status.INVALID_ARGUMENT, why)

    @classmethod
    def exhausted(cls, why: str) -> "Refusal":
        """ResourceExhaustedError at the client, which for some calls tries again."""
        return cls(Status.RESOURCE_EXHAUSTED, why)


class Endpoint:
    """What a gRPC server serves: the RPCs of some services."""

    def __init__(self, services: Sequence[object], record: Record) -> None:
        self._services = services
        self._record = record

    def __mapping__(self) -> Mapping[str, Handler]:
        """The handlers by path, as grpclib asks for them."""
        names = cast("ModalClientBase", _Names())
        return {
            path: Handler(
                self._serve(cast("str", handler.func)), handler.cardinality, handler.request_type, handler.reply_type
            )
            for path, handler in ModalClientBase.__mapping__(names).items()
        }

    def _serve(self, name: str) -> Serve:
        method = self._method(name)

        async def serve(stream: "Stream[Any, Any]") -> None:
            self._record.rpcs[name] += 1
            if method is None:
                self._record.problem(f"the RPC {name} is not implemented")
                raise GRPCError(Status.UNIMPLEMENTED, f"the control plane of the tests has no {name}")
            try:
                await _answer(method, stream)
            except (GRPCError, ConnectionError):
                raise
            except Exception as error:
                self._record.problem(f"{name} failed: {error!r}")
                self._record.log(traceback.format_exc())
                raise GRPCError(Status.FAILED_PRECONDITION, f"{name}: {error!r}") from error

        return serve

    def _method(self, name: str) -> Method | None:
        own = re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
        for service in self._services:
            if method := getattr(service, own, None):
                return cast("Method", method)
        return None


class _Names:
    """Stands for a service whose methods are their names."""

    def __getattr__(self, name: str) -> str:
        return name


async def _answer(method: Method, stream: "Stream[Any, Any]") -> None:
    request = await stream.recv_message()
    if inspect.isasyncgenfunction(method):
        async for part in method(request):
            await stream.send_message(part)
    else:
        await stream.send_message(await method(request))
