"""The same checkout gives the same bytes, wherever it is and whoever builds."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from infra.packaging.build import ROOT, WHEELS

_BUILD = """
import sys
from pathlib import Path
from infra.packaging.build import build
from infra.packaging.bytecode import find_interpreter
from infra.packaging.deployable import EDGE
from infra.packaging.target import Target
output, wheels = map(Path, sys.argv[1:])
built = build(EDGE, Target("3.11", "x86_64"), find_interpreter("3.11"), output, wheels=wheels)
print(built.archive.sha256)
"""


def test_two_checkouts_two_users_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "another folder" / "checkout"
    _copy(ROOT, first)
    _copy(first, second)  # not of ROOT again: somebody may be editing it
    one = _built(first, umask=0o022, environment={"TZ": "UTC", "LC_ALL": "C", "PYTHONHASHSEED": "1"})
    other = _built(
        second, umask=0o077, environment={"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "2", "USER": "x"}
    )
    assert one == other
    assert len(one) > 1_000_000


def _copy(root: Path, to: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__")
    for part in ("infra", "functions", "shared"):
        shutil.copytree(root / part, to / part, ignore=ignored)
    shutil.copy(root / "penstock.toml", to)


def _built(checkout: Path, *, umask: int, environment: dict[str, str]) -> bytes:
    subprocess.run(
        [sys.executable, "-c", _BUILD, "build", WHEELS],
        cwd=checkout,
        env={"PATH": os.environ["PATH"], "HOME": str(checkout), "PYTHONPATH": str(checkout), **environment},
        umask=umask,
        capture_output=True,
        timeout=200,
        check=True,
    )
    return (checkout / "build" / "edge.zip").read_bytes()
