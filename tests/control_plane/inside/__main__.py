"""The first process inside a container: makes its files and its network, then runs it and ends with it.

`unshare --mount --net --pid --fork --kill-child python -S -m tests.control_plane.inside PLAN`

It is process 1 of its namespace: when it ends, the kernel kills all that the container started, whatever process
group that is in. Its standard input is the control plane's: a line that names a signal is passed on to the
container, and its end, which comes when the control plane ends in whatever way, is the container's end.
It runs on the standard library alone, so that it starts at once.
"""

import asyncio
import os
import signal
import sys
from pathlib import Path

from tests.control_plane.inside.filesystem import build
from tests.control_plane.inside.network import let_in, let_out, raise_loopback
from tests.control_plane.inside.plan import Plan

FAILED = 125  # the exit status where the container could not be made


def main() -> None:
    """Run the container of the plan at the path that is the one argument."""
    plan = Plan.read(Path(sys.argv[1]))
    try:
        root = build(plan)
        raise_loopback()
    except OSError as error:
        print(f"The container could not be made: {error}", file=sys.stderr)  # noqa: T201 -- into the container's log
        sys.exit(FAILED)
    os.chdir(plan.folder)  # a socket's path may have 107 bytes
    sys.exit(asyncio.run(_run(plan, root, os.path.relpath(plan.gates))))


async def _run(plan: Plan, root: Path, gates: str) -> int:
    servers = [await let_out(port, f"{gates}/{port}") for port in plan.reach]
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[int] = loop.create_future()
    child = _start(plan, root)
    loop.add_signal_handler(signal.SIGCHLD, _reap, child, ended)
    _reap(child, ended)  # it may have ended already
    listening = asyncio.create_task(_obey(child))
    admitting = asyncio.create_task(let_in("in.sock", plan.port)) if plan.port else None
    status = await ended
    for task in (listening, admitting):
        if task is not None:
            task.cancel()
    for server in servers:
        server.close()
    return status


def _start(plan: Plan, root: Path) -> int:
    child = os.fork()
    if child:
        return child
    try:
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.chroot(root)
        os.chdir("/root")
        os.execve(plan.command[0], plan.command, plan.environment)  # noqa: S606
    finally:
        os._exit(FAILED)


def _reap(child: int, ended: "asyncio.Future[int]") -> None:
    """Take the status of whatever ended: process 1 is also the parent of those who lost theirs."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child and not ended.done():
            code = os.waitstatus_to_exitcode(status)
            ended.set_result(code if code >= 0 else 128 - code)


async def _obey(child: int) -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        os.kill(child, signal.Signals[line.decode().strip()])
    os._exit(128 + signal.SIGKILL)


if __name__ == "__main__":
    main()
