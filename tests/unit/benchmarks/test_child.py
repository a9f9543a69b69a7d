"""A child process is measured while it runs and has ended when its context has."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.child import Child, child
from benchmarks.failure import BenchmarkFailed

PATIENCE = 30.0  # seconds
WAITING = "from benchmarks.child import end_with_parent; end_with_parent(); import time; time.sleep(600)"


def pid_of(running: Child) -> int:
    return running._process.pid


def test_it_has_ended_when_its_context_ends(tmp_path: Path) -> None:
    with child("sleeper", ["-c", WAITING], log=tmp_path / "log") as running:
        pid = pid_of(running)
        os.kill(pid, 0)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_it_ends_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = f"""
import time
from pathlib import Path
from benchmarks.child import child
with child("sleeper", ["-c", {WAITING!r}], log=Path({str(tmp_path / "log")!r})) as running:
    print(running._process.pid, flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    give_up = time.monotonic() + PATIENCE
    while runs(pid):
        assert time.monotonic() < give_up
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether it runs. One that has ended but waits for init to notice (a zombie) does not."""
    try:
        os.kill(pid, 0)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_failure_shows_what_it_wrote_last(tmp_path: Path) -> None:
    arguments = ["-c", "import sys; sys.exit('no turbine')"]
    with (
        child("wheel", arguments, log=tmp_path / "log") as running,
        pytest.raises(BenchmarkFailed, match=r"(?s)wheel ended with code 1.*no turbine"),
    ):
        running.wait(PATIENCE)


def test_its_consumption_is_read_where_there_is_proc(tmp_path: Path) -> None:
    with child("sleeper", ["-c", WAITING], log=tmp_path / "log") as running:
        used = running.consumption()
    if not Path("/proc/self/stat").exists():
        assert used is None
    else:
        assert used is not None
        assert used.cpu >= 0
        assert used.resident > 0
