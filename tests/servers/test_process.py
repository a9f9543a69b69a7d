"""A server that tests start: up when it answers, down with the tests, and its words shown when it fails."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx2
import pytest

from tests.servers.ended import gone
from tests.servers.process import StartFailed, serving

# A server which starts another process, writes both ids to `ids`, and answers on the socket it was given.
SERVER = """
import http.server, os, socket, subprocess, sys
child = subprocess.Popen(["sleep", "3600"])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
server = http.server.HTTPServer(("127.0.0.1", 0), Handler, bind_and_activate=False)
server.socket = socket.socket(fileno=int(sys.argv[1]))
server.socket.listen()
open("ids", "w").write(f"{os.getpid()} {child.pid}\\n")
server.serve_forever()
"""

# Tests which are killed while a server of theirs runs.
TESTS = f"""
import os, pathlib, sys, time
from tests.servers.process import serving
os.chdir(sys.argv[1])
with serving(lambda fd: [sys.executable, "-c", {SERVER!r}, str(fd)], pathlib.Path("log"), health="/", environment={{}}):
    print("up", flush=True)
    time.sleep(3600)
"""


def all_gone(ids: Path) -> bool:
    deadline = time.monotonic() + 60
    ended = False
    while not ended and time.monotonic() < deadline:
        ended = all(gone(int(process_id)) for process_id in ids.read_text().split())
        time.sleep(0.02)
    return ended


def test_a_server_answers_and_ends_with_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(
        lambda fd: [sys.executable, "-c", SERVER, str(fd)], tmp_path / "log", health="/", environment={}
    ) as url:
        assert httpx2.get(url, trust_env=False).status_code == 200
        assert not any(gone(int(process_id)) for process_id in Path("ids").read_text().split())
    assert all_gone(tmp_path / "ids")
    with pytest.raises(httpx2.ConnectError):
        httpx2.get(url, trust_env=False)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_server_ends_when_the_tests_are_killed(tmp_path: Path, how: signal.Signals) -> None:
    command = [sys.executable, "-c", TESTS, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]) as tests:
        assert tests.stdout is not None
        assert tests.stdout.readline() == b"up\n"
        os.kill(tests.pid, how)
    assert all_gone(tmp_path / "ids")


def test_a_server_that_ends_at_once_has_its_words_shown(tmp_path: Path) -> None:
    code = "import sys; print('no room at', sys.argv[1] != '', flush=True); sys.exit(3)"
    with (
        pytest.raises(StartFailed, match="no room at True"),
        serving(lambda fd: [sys.executable, "-c", code, str(fd)], tmp_path / "log", health="/", environment={}),
    ):
        pytest.fail("it serves")
