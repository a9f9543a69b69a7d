"""A child process: started, measured, and ended for certain.

Its standard input is a pipe whose other end this process alone holds. When this one ends, of whatever, the
child finds the end of the pipe and ends too: `end_with_parent` is called in the child for that.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.failure import BenchmarkFailed

_GRACE = 10.0  # seconds that it gets to end by itself
_READY_WITHIN = 60.0  # seconds
_BACKLOG = 2_048


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a process has used so far (CPU, in seconds) and what it holds now (memory, in bytes)."""

    cpu: float
    resident: int


class Child:
    """A running child."""

    def __init__(self, name: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
        self.name = name
        self._process = process
        self._log = log

    def consumption(self) -> Consumption | None:
        """Where the system has no /proc, None."""
        return consumption_of(self._process.pid)

    def wait(self, within: float) -> None:
        """Wait until it has ended well. Raises BenchmarkFailed where it does not, within so many seconds."""
        try:
            code = self._process.wait(within)
        except subprocess.TimeoutExpired:
            raise self.failed(f"did not end within {within:g} s") from None
        if code != 0:
            raise self.failed(f"ended with code {code}")

    def wait_for_answer(self, address: tuple[str, int], path: str) -> None:
        """Wait until it answers 200 on that path. Raises BenchmarkFailed."""
        question = f"GET {path} HTTP/1.1\r\nHost: {address[0]}\r\nConnection: close\r\n\r\n".encode()
        give_up = time.monotonic() + _READY_WITHIN
        while not _answers(address, question):
            if self._process.poll() is not None:
                raise self.failed(f"ended with code {self._process.returncode}")
            if time.monotonic() > give_up:
                raise self.failed(f"was not ready within {_READY_WITHIN:g} s")
            time.sleep(0.05)

    def failed(self, how: str) -> BenchmarkFailed:
        """The error, with the end of the child's log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-20:]
        return BenchmarkFailed("\n".join([f"the {self.name} {how}", *lines]))

    def stop(self) -> None:
        """End it, and wait until it has ended."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


@contextmanager
def child(
    name: str,
    arguments: Sequence[str],
    *,
    log: Path,
    environment: Mapping[str, str] | None = None,
    listener: socket.socket | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[Child]:
    """A child that runs `python ARGUMENTS` while the context lasts. It may inherit a listening socket."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            [python, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env=environment,
            pass_fds=() if listener is None else (listener.fileno(),),
            start_new_session=True,  # Ctrl-C reaches this process alone, which then ends the child
        )
    running = Child(name, process, log)
    try:
        yield running
    finally:
        running.stop()


def consumption_of(pid: int) -> Consumption | None:
    """Of any process. Where it has ended, or the system has no /proc, None."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii")
        statm = Path(f"/proc/{pid}/statm").read_text(encoding="ascii")
    except FileNotFoundError:
        return None
    user, system = stat.rpartition(")")[2].split()[11:13]  # proc(5): fields 14 and 15, in clock ticks
    resident = int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return Consumption((int(user) + int(system)) / os.sysconf("SC_CLK_TCK"), resident)


def end_with_parent() -> None:
    """In a child: from now on, end at once when standard input does."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock a thread must not hold at the interpreter's end
            pass
        os._exit(0)

    threading.Thread(target=watch, daemon=True).start()


def listen() -> socket.socket:
    """A socket that listens on a free port of the loopback interface."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen(_BACKLOG)
    return listener


def _answers(address: tuple[str, int], question: bytes) -> bool:
    try:
        with socket.create_connection(address, timeout=_READY_WITHIN) as connection:
            connection.sendall(question)
            return b" 200 " in connection.recv(64)
    except OSError:
        return False
