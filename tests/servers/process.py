"""A server as a process: listening before it starts, waited for until it answers, and surely ended.

The socket is bound here, to a free port of 127.0.0.1, and inherited: no other process can take the port in
between. See `tethered` for what happens to the server when the tests are killed.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx2

TETHERED = Path(__file__).with_name("tethered.py")
START_S = 60.0  # a generous deadline; the stand-ins answer within a second


class StartFailed(RuntimeError):
    """A server ended, or did not answer in time. Holds what it wrote."""


@contextmanager
def serving(
    command: Callable[[int], list[str]],
    output: Path,
    *,
    health: str,
    environment: Mapping[str, str],
    start_s: float = START_S,
    on: socket.socket | None = None,
) -> Iterator[str]:
    """Run a server; the context's value is its URL.

    `command` gives the command line for the descriptor of the listening socket. Standard output and standard
    error go to the file `output`. `health` is a path which the server answers with 200 once it serves. Of this
    process's environment it gets PATH alone. It serves `on` a socket of `listening()`, where its URL has to be known
    before it starts, and takes that over.
    """
    with on or listening() as listener, output.open("wb") as log:
        tether, held = os.pipe()
        listen = listener.fileno()
        wrapper = [sys.executable, "-P", str(TETHERED), "--tether", str(tether), "--listen", str(listen)]
        process = subprocess.Popen(
            [*wrapper, *command(listen)],
            env={"PATH": os.environ["PATH"], **environment},
            pass_fds=[tether, listen],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        os.close(tether)
        url = url_of(listener)
        listener.close()  # the server's alone now: were it to die, connecting would fail and not hang
        try:
            _wait(url + health, process, output, start_s)
            yield url
        finally:
            os.close(held)
            _end(process)


def listening() -> socket.socket:
    """A socket bound to a free port, which is nobody else's as long as it is open."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    return listener


def url_of(listener: socket.socket) -> str:
    """Where a server on the socket is reached."""
    return "http://{}:{}".format(*listener.getsockname())


def _wait(url: str, process: subprocess.Popen[bytes], output: Path, start_s: float) -> None:
    deadline = time.monotonic() + start_s
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(httpx2.TransportError):
            if httpx2.get(url, trust_env=False, timeout=5).status_code == 200:
                return
        time.sleep(0.05)
    raise StartFailed(f"{url} does not answer; the server wrote:\n{output.read_text(errors='replace')}")


def _end(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
