"""A container: Modal's own runtime as a process, in namespaces of its own, with a gRPC endpoint of its own.

What it writes to its standard output and error goes to `<id>.log`. No memory snapshot is taken or restored: both
kinds of `@enter` hooks run in order, as in a container that restores none.
"""

import asyncio
import base64
import json
import os
import signal
import site
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from grpclib.server import Server
from modal_proto import api_pb2 as pb

from tests.control_plane.call import Input
from tests.control_plane.definition import Definition
from tests.control_plane.inside.plan import RUNTIME, Plan
from tests.control_plane.record import Record
from tests.control_plane.rpc import Endpoint

REPOSITORY = Path(__file__).parents[2]
KILL_AFTER_S = 10.0  # a server has so much longer than its grace period to end
TIMEOUT_S = 300  # for starting and for an input; Modal's own, where the definition says nothing
TOKEN_S = 2 * 24 * 3_600  # about what Modal's are good for; containers end themselves before it is over


class State(StrEnum):
    """Where a container is in its life."""

    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    DEAD = "dead"


@dataclass(slots=True, eq=False)
class Container:
    """One container, and what it works on."""

    id: str
    definition: Definition
    folder: Path
    state: State = State.STARTING
    started_at: float = field(default_factory=time.time)
    ready_at: float | None = None
    exit_code: int | None = None
    running: dict[str, Input] = field(default_factory=dict)
    requests: int = 0  # that a server is answering
    idle_since: float = field(default_factory=time.monotonic)
    cancelled: asyncio.Event = field(default_factory=asyncio.Event)  # set when one of `running` is
    _timers: dict[str, asyncio.TimerHandle] = field(default_factory=dict)
    _killed: bool = False
    _process: asyncio.subprocess.Process | None = None
    _server: Server | None = None
    _tasks: "set[asyncio.Task[None]]" = field(default_factory=set)

    @property
    def live(self) -> bool:
        """Whether it takes new work, or will."""
        return self.state in (State.STARTING, State.READY)

    @property
    def load(self) -> int:
        """How many inputs or requests it works on."""
        return len(self.running) + self.requests

    @property
    def log(self) -> Path:
        """What it wrote."""
        return self.folder.with_suffix(".log")

    @property
    def gate(self) -> str:
        """The socket by which a server is reached, relative to the control plane's folder."""
        return self._relative("in.sock")

    @property
    def accepts(self) -> bool:
        """Whether a server's port does."""
        return (self.folder / "in.sock").exists()

    @property
    def pid(self) -> int | None:
        """The process that runs the deployed code, as this machine numbers it. None where it is not running."""
        if self._process is None or self._process.returncode is not None:
            return None
        first = _child(self._process.pid)
        return _child(first) if first else None

    async def start(self, plan: Plan, endpoint: Endpoint, ended: "Callable[[Container], None]") -> None:
        """Run it; `ended` is called once it has ended."""
        plan.write(self.folder / "plan.json")
        self._server = Server([endpoint])
        await self._server.start(path=self._relative("runtime/plane.sock"))
        user = [] if _may_mount() else ["--user", "--map-root-user"]
        namespaces = ["unshare", *user, "--mount", "--net", "--pid", "--fork", "--kill-child"]
        first = [sys.executable, "-S", "-m", "tests.control_plane.inside", str(self.folder / "plan.json")]
        with self.log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *namespaces,
                *first,
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
            )
        self.soon(self._reap(ended))
        if self._killed:
            self.kill()
        function = self.definition.function
        self.soon(self._kill_after(function.startup_timeout_secs or TIMEOUT_S, only=State.STARTING))

    def ready(self) -> None:
        """It has started."""
        if self.state is State.STARTING:
            self.state, self.ready_at = State.READY, time.time()
            self.touch()

    def take(self, taken: Input) -> None:
        """It works on an input from now on, for as long as the definition's timeout lets it."""
        self.running[taken.id] = taken
        timeout = self.definition.function.timeout_secs or TIMEOUT_S
        self._timers[taken.id] = asyncio.get_running_loop().call_later(timeout, self._time_out, taken)

    def release(self, input_id: str) -> None:
        """It does no longer."""
        self.running.pop(input_id, None)
        if timer := self._timers.pop(input_id, None):
            timer.cancel()
        self.touch()

    def touch(self) -> None:
        """It was busy until now."""
        self.idle_since = time.monotonic()

    def terminate(self) -> None:
        """Send SIGTERM, and SIGKILL once the grace period and some seconds are over."""
        self.state = State.STOPPING
        self._signal(signal.SIGTERM)
        self.soon(self._kill_after(self.definition.function.http_config.exit_grace_period + KILL_AFTER_S))

    def kill(self) -> None:
        """End it and all it started, at once."""
        self._killed = True
        if self._process is not None and self._process.returncode is None:
            self._process.kill()  # process 1 of the namespace is tied to it

    def _relative(self, path: str) -> str:
        return os.path.relpath(self.folder / path)  # a socket's path may have 107 bytes

    def _time_out(self, late: Input) -> None:
        seconds = self.definition.function.timeout_secs or TIMEOUT_S
        late.end(pb.GenericResult.GENERIC_STATUS_TIMEOUT, f"the input took longer than {seconds} s")
        self.kill()

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.stdin is not None and self._process.returncode is None:
            self._process.stdin.write(f"{number.name}\n".encode())

    async def _kill_after(self, seconds: float, only: State | None = None) -> None:
        await asyncio.sleep(seconds)
        if only in (None, self.state):
            self.kill()

    async def _reap(self, ended: "Callable[[Container], None]") -> None:
        assert self._process is not None
        assert self._server is not None
        self.exit_code = await self._process.wait()
        self._server.close()
        for task in self._tasks - {asyncio.current_task()}:
            task.cancel()
        for timer in self._timers.values():
            timer.cancel()
        ended(self)

    def soon(self, work: Coroutine[None, None, None]) -> None:
        """Do something beside, until the container ends."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def check(folder: Path) -> None:
    """Make a container that does nothing. Raises RuntimeError where this machine does not let it."""
    container = Container("check", Definition("", "", pb.Function(), pb.FunctionData()), folder / "check")
    (container.folder / "runtime").mkdir(parents=True)
    ended: asyncio.Future[Container] = asyncio.get_running_loop().create_future()
    plan = Plan(str(container.folder), ["/bin/true"], {}, str(folder), kept=kept(), masked=masked())
    await container.start(plan, Endpoint([], Record()), ended.set_result)
    if (await ended).exit_code != 0:
        raise RuntimeError(f"containers need Linux's namespaces and overlays: {container.log.read_text().strip()}")


def arguments(container: Container, layout: pb.AppLayout) -> pb.ContainerArguments:
    """What the runtime is told about itself."""
    definition = container.definition
    return pb.ContainerArguments(
        task_id=container.id,
        function_id=definition.function_id,
        app_id=definition.app_id,
        function_def=definition.function,
        serialized_params=definition.parameters,
        environment_name="main",
        app_layout=layout,
    )


def command() -> list[str]:
    """How the runtime is started."""
    return [sys.executable, "-m", "modal._container_entrypoint"]


def environment(container: Container, given: Mapping[str, str]) -> dict[str, str]:
    """The container's variables: `given` are those of image, secrets and options. Of this machine's only PATH."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": "/root",
        "PYTHONPATH": "/root",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        **given,
        "MODAL_SERVER_URL": f"unix://{RUNTIME}/plane.sock",
        "MODAL_CONTAINER_ARGUMENTS_PATH": f"{RUNTIME}/arguments",
        "MODAL_TASK_ID": container.id,
        "MODAL_IMAGE_ID": container.definition.function.image_id,
        "MODAL_ENVIRONMENT": "main",
        "MODAL_IS_REMOTE": "1",
        "MODAL_REGION": "local",
        "MODAL_CLOUD_PROVIDER": "CLOUD_PROVIDER_LOCAL",
        "MODAL_IDENTITY_TOKEN": token(),
    }


def token() -> str:
    """A token with the form of a JWT and the time at which it expires, signed by nobody."""
    parts = [{"alg": "none"}, {"iss": "https://oidc.modal.com", "exp": int(time.time()) + TOKEN_S}]
    return ".".join([*(base64.urlsafe_b64encode(json.dumps(p).encode()).rstrip(b"=").decode() for p in parts), "none"])


def kept() -> list[str]:
    """The Python that runs containers, which may lie in a folder they do not see."""
    return [sys.prefix, sys.base_prefix]


def masked() -> list[str]:
    """The files by which this environment knows the repository's sources: a container has what was added to it."""
    links = [path for folder in site.getsitepackages() for path in Path(folder).glob("*.pth")]
    return [str(path) for path in links if all(line.startswith("/") for line in path.read_text().split())]


def _may_mount() -> bool:
    """Whether this process has CAP_SYS_ADMIN: capability 21 (capabilities(7))."""
    status = Path("/proc/self/status").read_text()
    return bool(int(status.partition("CapEff:")[2].split()[0], 16) >> 21 & 1)


def _child(pid: int) -> int | None:
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return None
    return int(children[0]) if children else None
