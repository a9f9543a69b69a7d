"""A TCP port of this machine, held by the supervisor and served by one process after another.

It is bound before anything is started, so that a taken port is found at once, and stays bound between
two lives of a process, so that nobody else gets it. While no process serves it, a connection is refused:
who calls is told at once that nobody is there.
"""

import errno
import socket
from typing import Any

from penstock.cli.failure import Failure

_WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 (not bound here)


class Port:
    """A bound socket. Port 0 picks a free one. Raises Failure."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        except OSError as error:
            raise Failure(f"--host {host}: {error.strerror}") from error
        self._family: socket.AddressFamily = found[0]
        self._socket = self._bind(found[4])

    def _bind(self, address: tuple[Any, ...]) -> socket.socket:
        bound = socket.socket(self._family, socket.SOCK_STREAM)
        try:
            # Without it, connections of a life before could keep the port from us for a minute.
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError as error:
            bound.close()
            raise self._taken(error, address[1]) from error
        return bound

    def _taken(self, error: OSError, port: object) -> Failure:
        if error.errno == errno.EADDRINUSE:
            return Failure(
                f"port {port} on {self._host} is in use; pick another with --port, or any free one with --port 0"
            )
        return Failure(f"cannot listen on {self._host} port {port}: {error.strerror}")

    def listen(self) -> None:
        """Take connections, which wait for a process. Raises Failure where another program does already.

        With SO_REUSEADDR two can be bound to a port, as long as neither listens.
        """
        try:
            self._socket.listen()
        except OSError as error:
            raise self._taken(error, self._socket.getsockname()[1]) from error

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it."""
        address = str(self._socket.getsockname()[0])
        return address == "::1" or address.startswith("127.")

    def fileno(self) -> int:
        """The descriptor for a process to inherit."""
        return self._socket.fileno()

    def url(self) -> str:
        """The URL under which this machine reaches it, with the host as the user called it."""
        name = _WILDCARDS.get(self._host, self._host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self._socket.getsockname()[1]}"

    def renew(self) -> None:
        """Refuse connections again, and those that wait for the process that died. Raises Failure."""
        address = self._socket.getsockname()
        self._socket.close()
        self._socket = self._bind(address)

    def close(self) -> None:
        """Let it go; a process that has inherited it still serves it."""
        self._socket.close()
