"""Lambda's Runtime API, as the process that runs a function speaks it.

Source: docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html, and runtimes-custom.html for streamed responses. The
two paths under `/restore` are not described there; they are those of AWS's own runtimes, which SnapStart needs.
"""

import asyncio
import base64
from dataclasses import dataclass

import orjson

from functions.edge.runtime.connection import Answer, ConnectionBroken, Headers, RuntimeConnection

PAUSES = (0.05, 0.25, 1.0)  # seconds between the tries to reach it

_VERSION = "/2018-06-01/runtime"
_ERROR_TYPE = "Lambda-Runtime-Function-Error-Type"
_ERROR_BODY = "Lambda-Runtime-Function-Error-Body"
_STREAMED: Headers = (
    ("Lambda-Runtime-Function-Response-Mode", "streaming"),
    ("Content-Type", "application/vnd.awslambda.http-integration-response"),
    ("Trailer", f"{_ERROR_TYPE}, {_ERROR_BODY}"),
)


class RuntimeApiFailed(Exception):
    """The Runtime API is away, or says that nothing more can be done here. The process has to end."""


class ResponseRefused(Exception):
    """The Runtime API has taken no more of a response: it broke off, or answered with a status of its own."""


@dataclass(frozen=True, slots=True)
class FunctionError:
    """What went wrong: a type (`Runtime.Something`), and one line that may be read by anybody who may read logs."""

    kind: str
    text: str

    def body(self) -> bytes:
        """The JSON object in which Lambda takes an error."""
        return orjson.dumps({"errorType": self.kind, "errorMessage": self.text, "stackTrace": []})


@dataclass(frozen=True, slots=True)
class Given:
    """An invocation, as `next` gives it: the event is JSON; the deadline, milliseconds since the epoch."""

    request_id: str
    deadline: int
    function_arn: str
    trace_id: str | None
    event: bytes


class Upload:
    """A response on its way, chunk by chunk."""

    def __init__(self, connection: RuntimeConnection, listening: "asyncio.Task[Answer]") -> None:
        self._connection = connection
        self._listening = listening

    async def part(self, data: bytes) -> None:
        """Send some bytes, at once. Raises ResponseRefused."""
        try:
            await self._connection.part(data)
        except ConnectionBroken as error:
            raise await self.refusal() from error

    async def end(self, last: bytes, error: FunctionError | None = None) -> None:
        """End the response; an error is in its trailers. Raises ResponseRefused, RuntimeApiFailed."""
        trailers = [(_ERROR_TYPE, error.kind), (_ERROR_BODY, base64.b64encode(error.body()).decode())] if error else []
        try:
            await self._connection.end(last, trailers)
            answer = await self._listening
        except ConnectionBroken as broken:
            raise await self.refusal() from broken
        _check(answer)

    async def refusal(self) -> ResponseRefused | RuntimeApiFailed:
        """Wait until the Runtime API takes no more, and say why."""
        try:
            _check(await asyncio.shield(self._listening))
        except ConnectionBroken as error:
            return ResponseRefused(f"the connection {error}")
        except (ResponseRefused, RuntimeApiFailed) as error:
            return error
        return ResponseRefused("it was answered before its end")


class RuntimeApi:
    """The API at an address, which is the environment's AWS_LAMBDA_RUNTIME_API."""

    def __init__(self, address: str) -> None:
        self._connection = RuntimeConnection(address)

    async def next(self) -> Given:
        """Wait for the next invocation, however long it takes. Raises RuntimeApiFailed."""
        answer = await self._get("/invocation/next")
        try:
            return Given(
                request_id=answer.headers["lambda-runtime-aws-request-id"],
                deadline=int(answer.headers["lambda-runtime-deadline-ms"]),
                function_arn=answer.headers.get("lambda-runtime-invoked-function-arn", ""),
                trace_id=answer.headers.get("lambda-runtime-trace-id"),
                event=answer.body,
            )
        except (KeyError, ValueError) as error:
            raise RuntimeApiFailed("the Runtime API gave an invocation without its id or deadline") from error

    async def respond(self, request_id: str, first: bytes) -> Upload:
        """Begin the response to an invocation, with its first bytes. Raises ResponseRefused."""
        target = f"{_VERSION}/invocation/{request_id}/response"
        try:
            try:
                listening = await self._connection.begin(target, _STREAMED, first)
            except ConnectionBroken:  # a kept connection may have been closed under us
                listening = await self._connection.begin(target, _STREAMED, first)
        except ConnectionBroken as error:
            raise ResponseRefused(f"the connection {error}") from error
        return Upload(self._connection, listening)

    async def fail(self, request_id: str, error: FunctionError) -> None:
        """Say that an invocation has failed, of which nothing was answered. Raises RuntimeApiFailed."""
        await self._fail(f"/invocation/{request_id}/error", error)

    async def fail_init(self, error: FunctionError) -> None:
        """Say that the function cannot start. Raises RuntimeApiFailed."""
        await self._fail("/init/error", error)

    async def restored(self) -> None:
        """Say that the snapshot may be taken; returns in a process restored from it. Raises RuntimeApiFailed."""
        await self._get("/restore/next")
        self.close()  # of the connection, too, another process has a copy

    async def fail_restore(self, error: FunctionError) -> None:
        """Say that the restored process cannot go on. Raises RuntimeApiFailed."""
        await self._fail("/restore/error", error)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    async def _get(self, path: str) -> Answer:
        answer = await self._ask("GET", path)
        if answer.status != 200:
            raise RuntimeApiFailed(f"the Runtime API answered {path} with status {answer.status}")
        return answer

    async def _fail(self, path: str, error: FunctionError) -> None:
        headers = (("Content-Type", "application/vnd.aws.lambda.error+json"), (_ERROR_TYPE, error.kind))
        answer = await self._ask("POST", path, headers, error.body())
        if answer.status >= 500:
            raise RuntimeApiFailed(f"the Runtime API answered {path} with status {answer.status}")

    async def _ask(self, method: str, path: str, headers: Headers = (), body: bytes = b"") -> Answer:
        for pause in PAUSES:
            try:
                return await self._connection.ask(method, f"{_VERSION}{path}", headers, body)
            except ConnectionBroken:
                await asyncio.sleep(pause)
        try:
            return await self._connection.ask(method, f"{_VERSION}{path}", headers, body)
        except ConnectionBroken as error:
            raise RuntimeApiFailed(f"the Runtime API: the connection {error}") from error


def _check(answer: Answer) -> None:
    """Raises what the answer to a response says."""
    if answer.status >= 500:  # "Container error. Non-recoverable state. Runtime should exit promptly."
        raise RuntimeApiFailed(f"the Runtime API answered a response with status {answer.status}")
    if answer.status != 202:
        raise ResponseRefused(f"it was answered with status {answer.status}")
