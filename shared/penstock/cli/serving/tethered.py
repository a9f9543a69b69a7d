"""A served process: uvicorn on a socket that the supervisor holds, tied to the supervisor's life.

`python -P -m penstock.cli.serving.tethered APP --listen FD --tether FD --grace SECONDS`

APP is the factory of an ASGI app, `module:name`. The socket was bound by the supervisor (see `port`). The
tether is the reading end of a pipe whose other end the supervisor alone holds: when that one dies, of whatever
(SIGKILL too), the kernel closes it, and this process stops as if asked to, or is killed after the grace.
A pipe does what Linux's PDEATHSIG does, and on macOS too; it cannot be missed by dying too early, and
does not mistake a thread's end for the process's.
"""

import argparse
import os
import signal
import socket
import threading
import time

SETTLE = 5  # seconds from the end of the grace until SIGKILL: cancelled streams settle in it


def main() -> None:
    """Serve until asked to stop (SIGTERM), or until the supervisor is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("app")
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("--tether", type=int, required=True)
    parser.add_argument("--grace", type=int, required=True)
    options = parser.parse_args()
    watch = threading.Thread(target=_stop_when_cut, args=(options.tether, options.grace), daemon=True)
    watch.start()
    _serve(options.app, options.listen, options.grace)


def _stop_when_cut(tether: int, grace: int) -> None:
    while os.read(tether, 1):
        pass  # nobody writes; what ends the reading is the end of the supervisor
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(grace + SETTLE)
    os.kill(os.getpid(), signal.SIGKILL)


def _serve(app: str, listen: int, grace: int) -> None:
    import uvicorn  # noqa: PLC0415 (after the watch has begun)

    config = uvicorn.Config(
        app,
        factory=True,
        lifespan="on",
        access_log=False,  # a query string may hold a ticket
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=grace,
    )
    # Not uvicorn's --fd, which takes the socket for a Unix one: asyncio would not set TCP_NODELAY, and
    # each small event of a stream could wait for the last one's acknowledgement.
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=listen)])


if __name__ == "__main__":
    main()
