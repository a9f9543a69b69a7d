"""The process: what it does not know it says, and it ends with the tests."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import modal
import pytest

from tests.control_plane.running import REPOSITORY, control_plane

pytestmark = pytest.mark.usefixtures("linux")

HOLDER = """
import sys, time
from pathlib import Path
import modal
from tests.control_plane.running import control_plane
import os

with control_plane(Path(sys.argv[1])) as plane:
    plane.set_secret("sample-secret", {})
    plane.modal("deploy", "tests/control_plane/sample_app.py")
    os.environ.update(plane.environment)
    print(modal.Cls.from_name("sample", "Named")(name="x").hello.remote(), flush=True)
    (container,) = plane.containers("Named.*")
    print(container["pid"], flush=True)
    time.sleep(3600)
"""


def test_an_unknown_rpc_is_refused_and_fails_the_tests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with control_plane(tmp_path) as plane:
        for name, value in plane.environment.items():
            monkeypatch.setenv(name, value)
        with modal.Client.from_credentials("ak", "as") as client:
            queue = modal.Queue.from_name("queue", create_if_missing=True, client=client)
            with pytest.raises(modal.exception.UnimplementedError, match="no QueueGetOrCreate"):
                queue.hydrate()
        assert plane.state()["problems"] == ["the RPC QueueGetOrCreate is not implemented"]
        with pytest.raises(AssertionError, match="QueueGetOrCreate"):
            plane.check()


def test_containers_end_with_the_tests(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)], cwd=REPOSITORY, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    with holder, holder.stdout:
        assert holder.stdout.readline().startswith("x in ta-")
        container = int(holder.stdout.readline())
        assert Path(f"/proc/{container}").exists()
        holder.send_signal(signal.SIGKILL)
    _wait_for_end(container)


def _wait_for_end(pid: int) -> None:
    """Returns once the process is gone; a test that hangs is ended by pytest's own timeout."""
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)
