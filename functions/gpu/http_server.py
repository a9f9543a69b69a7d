"""An ASGI app over HTTP in a thread of its own, for a process whose main thread is somebody else's.

On a laptop uvicorn runs the process. In a container the platform's runtime does, on an event loop that stands
still between its hooks; so uvicorn gets a thread and a loop here, and signals stay the runtime's.
"""

import threading
import time

import uvicorn
from starlette.types import ASGIApp

KEEP_ALIVE_S = 15  # longer than the edge keeps an idle connection, so that it never meets one just closed
BACKLOG = 512  # connections that wait to be accepted
POLL_S = 0.01


class NotListening(Exception):
    """The app refused to start, or the port is taken; the log says which."""


class HttpServer:
    """One app on one port. Once it is stopped, running requests may go on for `grace_s` seconds."""

    def __init__(self, app: ASGIApp, *, host: str, port: int, grace_s: int) -> None:
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                host=host,
                port=port,
                lifespan="on",
                backlog=BACKLOG,
                access_log=False,  # the journal writes a line a request, without the query that may hold a ticket
                log_level="warning",
                server_header=False,
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=grace_s,
            )
        )
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)

    def start(self) -> None:
        """Returns once it listens. Raises NotListening."""
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise NotListening("the HTTP server ended before it listened")
            time.sleep(POLL_S)

    def stop(self) -> None:
        """Take no more connections, let the running requests end or end them, then the app's lifespan."""
        self._server.should_exit = True
        self._thread.join()

    def _run(self) -> None:
        try:
            self._server.run()
        except SystemExit:  # how uvicorn tells of a port that is taken
            return
