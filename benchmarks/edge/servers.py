"""The two servers of the benchmark, each in a process of its own on the loopback interface."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from benchmarks.child import Child, child, listen
from benchmarks.edge.rig import Rig

_GRACE = 1  # seconds that the edge gives to open streams when it is ended


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers, at `url`."""

    process: Child
    url: str


@contextmanager
def upstream(rig: Rig) -> Iterator[Server]:
    """The stub upstream."""
    with listen() as listener:
        address = listener.getsockname()
        arguments = ["-m", "benchmarks.edge.upstream", str(listener.fileno())]
        running = child("stub upstream", arguments, log=rig.directory / "upstream.log", listener=listener)
        with running as process:
            listener.close()
            process.wait_for_answer(address, "/health/ready")
            yield Server(process, f"http://{address[0]}:{address[1]}")


@contextmanager
def edge(rig: Rig, upstream_url: str) -> Iterator[Server]:
    """The edge as `penstock serve` runs it: under uvicorn, tied to this process by its standard input."""
    with listen() as listener:
        address = listener.getsockname()
        program = ["-P", "-m", "penstock.cli.serving.tethered", "functions.edge.app:create_app"]
        options = ["--listen", listener.fileno(), "--tether", 0, "--grace", _GRACE]
        running = child(
            "edge",
            [*program, *map(str, options)],
            log=rig.directory / "edge.log",
            environment=rig.environment(upstream_url),
            listener=listener,
        )
        with running as process:
            listener.close()
            process.wait_for_answer(address, "/health/ready")
            yield Server(process, f"http://{address[0]}:{address[1]}")
