"""Runs the control plane: `python -m tests.control_plane --state DIR`.

It prints the environment that leads Modal's client to it, and serves until it is ended. `--listen` takes the
descriptor of a listening socket for its HTTP, as the tests give it; without it a free port is taken.
"""

import argparse
import asyncio
import json
import os
import socket
from pathlib import Path

from aiohttp import web

from tests.control_plane.container import check
from tests.control_plane.plane import Plane
from tests.control_plane.web import application


def main() -> None:
    """Serve until ended."""
    options = _options()
    folder = options.state.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    os.chdir(folder)  # the path of a Unix socket may have 107 bytes
    asyncio.run(_serve(options, folder))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.control_plane", description=__doc__)
    parser.add_argument("--state", type=Path, required=True, help="an empty or new folder for all it keeps")
    parser.add_argument("--listen", type=int, help="the descriptor of a listening socket, for its HTTP")
    parser.add_argument("--reach", type=int, action="append", default=[], help="a port that containers may reach")
    parser.add_argument("--set", action="append", default=[], help="NAME=VALUE, set in every container")
    parser.add_argument("--key", default="wk-tests", help="the valid Modal-Key")
    parser.add_argument("--secret", default="ws-tests", help="the valid Modal-Secret")
    return parser.parse_args()


async def _serve(options: argparse.Namespace, folder: Path) -> None:
    listener = socket.socket(fileno=options.listen) if options.listen is not None else socket.socket()
    if options.listen is None:
        listener.bind(("127.0.0.1", 0))
    host, port = listener.getsockname()[:2]
    variables = dict(item.split("=", 1) for item in options.set)
    plane = Plane(folder, f"http://{host}:{port}", variables, (options.key, options.secret))
    await check(folder)
    for reached in (port, *options.reach):
        await plane.let_reach(reached)
    url = await plane.serve()
    (folder / "client.json").write_text(json.dumps(_client(folder, url), indent=1))
    for name, value in _client(folder, url).items():
        plane.record.log(f"export {name}={value}")
    runner = web.AppRunner(application(plane), access_log=None)
    await runner.setup()
    await web.SockSite(runner, listener).start()
    await asyncio.Event().wait()


def _client(folder: Path, url: str) -> dict[str, str]:
    return {
        "MODAL_SERVER_URL": url,
        "MODAL_TOKEN_ID": "ak-tests",
        "MODAL_TOKEN_SECRET": "as-tests",
        "MODAL_CONFIG_PATH": str(folder / "modal.toml"),
        "MODAL_ENVIRONMENT": "main",
    }


if __name__ == "__main__":
    main()
