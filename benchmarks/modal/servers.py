"""What serves the model: a process of its own, and a deployed class. Each can be cold, and says what CPU it used.

All serve the same weights with the same settings: those that the deployment gives its containers.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, Protocol

from benchmarks.child import Child, Consumption, child, consumption_of, listen
from benchmarks.failure import BenchmarkFailed
from functions.gpu.modal_app import environment
from penstock.deployment import ClassKind
from penstock.models import ServedModel
from tests.integration.gpu.stand import TICKET_KEYS
from tests.integration.modal.cloud import LEDGER, Cloud

VOLUME = "penstock-weights"
_GRACE = 1  # seconds that the process gives to open streams when it is ended


class Server(Protocol):
    """What serves the model."""

    def cool(self) -> None:
        """Nothing of it runs any more."""

    def start(self) -> None:
        """Let it start, without waiting for it. What starts by being asked needs no more."""

    def consumption(self) -> Consumption | None:
        """Of the process that has the engine."""


class OwnProcess:
    """A GPU process under uvicorn, as `penstock serve` runs it; it ends with the bench. Who asks early, waits."""

    def __init__(self, cloud: Cloud, model: ServedModel) -> None:
        self._environment = _settings(cloud, model)
        self._log = cloud.table.with_name("process.log")
        self._running = ExitStack()
        self._process: Child | None = None
        self.url = ""

    def cool(self) -> None:
        """End it."""
        self._running.close()
        self._process = None

    def start(self) -> None:
        """Start it."""
        with listen() as listener:
            self.url = "http://{}:{}".format(*listener.getsockname())
            program = ["-P", "-m", "penstock.cli.serving.tethered", "functions.gpu.server:create_app"]
            options = ["--listen", listener.fileno(), "--tether", 0, "--grace", _GRACE]
            self._process = self._running.enter_context(
                child(
                    "GPU process",
                    [*program, *map(str, options)],
                    log=self._log,
                    environment=self._environment,
                    listener=listener,
                )
            )

    def consumption(self) -> Consumption | None:
        """Of the process."""
        return None if self._process is None else self._process.consumption()


@contextmanager
def own_process(cloud: Cloud, model: ServedModel) -> Iterator[OwnProcess]:
    """One that is not started yet, and ends with the context."""
    process = OwnProcess(cloud, model)
    try:
        yield process
    finally:
        process.cool()


class Deployed:
    """The containers of a model's class, of which there is one at most."""

    def __init__(self, cloud: Cloud, kind: ClassKind) -> None:
        self._cloud = cloud
        self._kind = kind

    def cool(self) -> None:
        """End them."""
        plane = self._cloud.plane
        for container in self._alive():
            plane.kill(container["id"])
        plane.wait(lambda _: not self._alive(), "the containers have ended")

    def start(self) -> None:
        """The first request does."""

    def consumption(self) -> Consumption | None:
        """Of the one container. Raises BenchmarkFailed where there are others."""
        alive = self._alive()
        if len(alive) != 1:
            raise BenchmarkFailed(f"{len(alive)} containers of {self._kind} are there, not one; {self._last()}")
        return consumption_of(alive[0]["pid"])

    def _alive(self) -> list[dict[str, Any]]:
        return self._cloud.containers(self._kind, "starting", "ready", "stopping")

    def _last(self) -> str:
        ended = self._cloud.containers(self._kind, "dead")
        return f"the last to end gave {ended[-1]['exit_code']}" if ended else "none has ended"


def _settings(cloud: Cloud, model: ServedModel) -> Mapping[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PENSTOCK_", "MODAL_"))}
    given = {name: value for name, value in environment(model).items() if value is not None}
    return {
        **inherited,
        **given,
        "OMP_NUM_THREADS": "1",  # as the control plane's containers have
        "PENSTOCK_WEIGHTS": str(cloud.plane.volume(VOLUME)),
        "PENSTOCK_LEDGER_URL": LEDGER,
        "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
        "PENSTOCK_CONFIG": str(cloud.table),
    }
