"""What cannot be packaged is refused in one line that names it."""

import subprocess
import sys
from pathlib import Path

import pytest
from packaging.version import Version

from infra.packaging.build import ROOT
from infra.packaging.bytecode import find_interpreter
from infra.packaging.failure import PackagingFailed
from infra.packaging.lock import Pin, read_lock
from infra.packaging.modules import closure
from infra.packaging.target import Target
from infra.packaging.wheelhouse import gather

TARGET = Target("3.13", "arm64")
HASH = "0" * 64


@pytest.mark.parametrize("python", ["3.10", "3", "2.7", "3.13.1", "3.x", ""])
def test_a_python_that_is_none_of_lambdas(python: str) -> None:
    with pytest.raises(PackagingFailed, match=r"must be 3\.11 or newer"):
        Target(python, "arm64")


def test_an_architecture_that_is_none() -> None:
    with pytest.raises(PackagingFailed, match="'sparc' is none of x86_64, arm64"):
        Target("3.13", "sparc")


@pytest.mark.parametrize(
    "line",
    [
        "h11==0.16.0",
        f"h11>=0.16.0 --hash=sha256:{HASH}",
        "h11==0.16.0 --hash=md5:0",
        f"h11==0.16.* --hash=sha256:{HASH}",
        "--index-url https://example.test",
        "./h11.whl",
    ],
)
def test_a_lock_that_pins_nothing(tmp_path: Path, line: str) -> None:
    (tmp_path / "lock.txt").write_text(f"{line}\n")
    with pytest.raises(PackagingFailed, match=r"the lock lock\.txt has no pin with hashes where it says"):
        read_lock(tmp_path / "lock.txt", TARGET)


def test_a_lock_that_is_not_there_or_empty(tmp_path: Path) -> None:
    with pytest.raises(PackagingFailed, match=r"none\.txt cannot be read"):
        read_lock(tmp_path / "none.txt", TARGET)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    with pytest.raises(PackagingFailed, match=r"holds nothing for Python 3\.13, arm64"):
        read_lock(tmp_path / "empty.txt", TARGET)


def test_markers_are_the_targets_and_not_this_interpreters(tmp_path: Path) -> None:
    lines = {
        "old": "python_full_version < '3.13'",
        "new": "python_full_version >= '3.13'",
        "arm": "platform_machine == 'aarch64'",
        "windows": "sys_platform == 'win32'",
    }
    text = "".join(f"{name}==1.0 ; {marker} \\\n    --hash=sha256:{HASH}\n" for name, marker in lines.items())
    (tmp_path / "lock.txt").write_text(text)
    assert [pin.name for pin in read_lock(tmp_path / "lock.txt", TARGET)] == ["arm", "new"]
    assert [pin.name for pin in read_lock(tmp_path / "lock.txt", Target("3.11", "x86_64"))] == ["old"]


def test_a_wheel_that_is_not_the_locks(tmp_path: Path) -> None:
    (tmp_path / "h11-0.16.0-py3-none-any.whl").write_bytes(b"something else")
    pin = Pin("h11", Version("0.16.0"), frozenset({HASH}))
    with pytest.raises(PackagingFailed, match=r"h11-0\.16\.0-py3-none-any\.whl is not what the lock names"):
        gather(tmp_path, [pin], TARGET)


def test_a_wheel_that_cannot_be_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # One for another target does not do, and there is nowhere to get the right one from.
    (tmp_path / "orjson-3.13.0-cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64.whl").write_bytes(b"")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    pin = Pin("orjson", Version("3.13.0"), frozenset({HASH}))
    with pytest.raises(PackagingFailed, match=r"the wheels for Python 3\.13, arm64 cannot be downloaded: .*orjson"):
        gather(tmp_path, [pin], TARGET)


def test_an_interpreter_of_another_version_or_none() -> None:
    with pytest.raises(PackagingFailed, match=r"is not Python 3\.99: it is 3\."):
        find_interpreter("3.99", Path(sys.executable))
    with pytest.raises(PackagingFailed, match=r"is not Python 3\.11: it does not run"):
        find_interpreter("3.11", Path("/nowhere/python"))
    with pytest.raises(PackagingFailed, match=r"there is no Python 3\.99 here to compile with"):
        find_interpreter("3.99")


def test_an_entry_that_is_not_there() -> None:
    with pytest.raises(PackagingFailed, match=r"there is no module functions\.nowhere to package"):
        closure(ROOT, ["functions.nowhere"])


def test_the_command_says_so_in_one_line_and_fails() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "infra.packaging", "--architecture", "sparc"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "package: architecture 'sparc' is none of x86_64, arm64\n"
