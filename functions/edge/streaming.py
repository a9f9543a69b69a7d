"""The Lambda runtime that streams: it runs the edge's app in place of AWS's runtime for Python, which buffers.

Lambda starts it through `stream`, a wrapper that AWS_LAMBDA_EXEC_WRAPPER names on the managed runtime. The function's
handler stays Mangum's (`_HANDLER`, functions.edge.handler.handler): the app in it is what is run here. One invocation
at a time, all on one event loop, in which the app's connections live on: the app is started once, and never around
an invocation.

What is promised:

- a part of an answer leaves when the app sends it (`runtime.response`);
- every answer ends, and in time (`runtime.invocation`);
- where the function cannot start, Lambda is told a type and one line that hold no setting's value;
- under SnapStart the app's hooks are run as AWS's runtime runs them (`runtime.snapshot`).

What Lambda cannot do: it tells nobody of a client that has left. An answer is made to its end, and paid for, whoever
still reads it; cancellation on disconnect, which `penstock serve` has, cannot be promised here. What bounds the waste:
`max_tokens`, which the edge lets no request go without; the function's deadline, at which the edge closes its
request to the GPU; and direct delivery, where the client's connection is the GPU process's own and Lambda is out of
the way (PENSTOCK_DELIVERY). What Lambda does tell is a connection of its own that breaks: the app then sees a
disconnect, and is cancelled.

Its parts are in `functions.edge.runtime`.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from importlib import import_module

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.edge.runtime import snapshot
from functions.edge.runtime.api import FunctionError, RuntimeApi, RuntimeApiFailed
from functions.edge.runtime.invocation import invoke
from functions.edge.runtime.lifespan import LambdaLifespan, StartFailed
from penstock.logs import configure_logs
from penstock.models import ConfigError

MAX_TEXT = 1_000  # characters of an error's one line
# The statuses with which AWS's own runtime ends.
START_FAILED, SNAPSHOT_FAILED, RESTORE_FAILED = 1, 64, 65

_TRACE = "_X_AMZN_TRACE_ID"
_SAID = (ConfigError, ImportError, StartFailed)  # whose text shows no value; of others only the type is told

log = structlog.get_logger()


def main() -> int:
    """Run the function until Lambda ends the process; the exit status."""
    configure_logs("edge", "info")  # until the app knows better
    api = RuntimeApi(os.environ["AWS_LAMBDA_RUNTIME_API"])
    with asyncio.Runner() as runner:
        try:
            return _run(runner, api)
        except RuntimeApiFailed as error:
            log.error("runtime_api_failed", reason=str(error))
            return START_FAILED
        finally:
            api.close()


def _run(runner: asyncio.Runner, api: RuntimeApi) -> int:
    try:
        asyncio.set_event_loop(runner.get_loop())  # for what is done while the handler is imported
        app = _app(os.environ["_HANDLER"])
        lifespan = LambdaLifespan(app)
        runner.run(lifespan.start())
    except Exception as error:
        runner.run(api.fail_init(_told(error, "init_failed")))
        return START_FAILED
    if snapshot.is_wanted() and (failed := _take_snapshot(runner, api)):
        return failed
    with suppress(asyncio.CancelledError):  # Lambda has asked the process to end
        runner.run(_serve(app, api, lifespan))
    return 0


def _app(handler: str) -> ASGIApp:
    """The app of the function's handler, `module.name`. Raises whatever its import raises.

    Where the module has a `rest`, its `wake` comes before every request, as Mangum's handler has it: see `snapshot`.
    """
    module, _, name = handler.rpartition(".")
    loaded = import_module(module.replace("/", "."))
    app: ASGIApp = getattr(loaded, name).app
    rest = getattr(loaded, "rest", None)

    async def woken(scope: Scope, receive: Receive, send: Send) -> None:
        if rest is not None and scope["type"] == "http":
            await rest.wake()
        await app(scope, receive, send)

    return woken


def _take_snapshot(runner: asyncio.Runner, api: RuntimeApi) -> int:
    """Wait for the snapshot; returns in each process restored from it, with 0, or with the exit status."""
    try:
        snapshot.run_before_snapshot()
    except Exception as error:
        told = _told(error, "before_snapshot_failed")
        runner.run(api.fail_init(FunctionError("Runtime.BeforeSnapshotError", told.text)))
        return SNAPSHOT_FAILED
    runner.run(api.restored())
    try:
        snapshot.run_after_restore()
    except Exception as error:
        told = _told(error, "after_restore_failed")
        runner.run(api.fail_restore(FunctionError("Runtime.AfterRestoreError", told.text)))
        return RESTORE_FAILED
    return 0


async def _serve(app: ASGIApp, api: RuntimeApi, lifespan: LambdaLifespan) -> None:
    """One invocation after the other, until this is cancelled."""
    task = asyncio.current_task()
    if task is not None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(signum, task.cancel)
    try:
        while True:
            given = await api.next()
            _trace(given.trace_id)
            await invoke(app, api, given, lifespan.state)
    finally:
        api.close()  # first of all, so that nobody waits for what will not be answered
        await lifespan.stop()


def _trace(trace_id: str | None) -> None:
    """Let X-Ray's SDK find the invocation's trace where it looks for it."""
    if trace_id is None:
        os.environ.pop(_TRACE, None)
    else:
        os.environ[_TRACE] = trace_id


def _told(error: Exception, event: str) -> FunctionError:
    """Log the error, and say what of it may be told."""
    kind = type(error).__name__
    text = " ".join(str(error).split()) if isinstance(error, _SAID) else f"{kind}; the log says where"
    log.error(event, exc_info=error, reason=text[:MAX_TEXT])
    return FunctionError(f"Runtime.{kind}", text[:MAX_TEXT])


if __name__ == "__main__":
    sys.exit(main())
