"""The policy on skips, shown by a pytest of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import skips

ALLOWED = next(iter(skips.ALLOWED))

SUITE = f"""
import pytest

def test_runs(): pass

def test_listed(): pytest.skip({ALLOWED!r})

@pytest.mark.skip(reason={ALLOWED!r})
def test_listed_mark(): pass

def test_unlisted(): pytest.skip("not today")

@pytest.mark.skipif(True, reason="not today")
def test_unlisted_mark(): pass

@pytest.mark.xfail(reason="a known fault", strict=True)
def test_xfail(): assert False
"""
MODULE = "import pytest\npytest.importorskip('no_such_module_at_all')\n"


def run(folder: Path, *, ci: bool) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "CI"} | ({"CI": "true"} if ci else {})
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "tests.skips", "-p", "no:cacheprovider", "-q", "-rfEs", str(folder)],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    return tmp_path


def test_a_skip_with_an_unlisted_reason_fails_in_ci(folder: Path) -> None:
    (folder / "test_suite.py").write_text(SUITE)
    result = run(folder, ci=True)
    assert result.returncode == 1, result.stdout
    assert "1 failed, 1 passed, 2 skipped, 1 xfailed, 1 error" in result.stdout
    assert "tests/skips.py lists its reason" in result.stdout


def test_a_module_that_skips_itself_fails_in_ci(folder: Path) -> None:
    (folder / "test_suite.py").write_text(MODULE)
    result = run(folder, ci=True)
    assert result.returncode == 2, result.stdout
    assert "1 error" in result.stdout


def test_a_skip_is_a_skip_elsewhere(folder: Path) -> None:
    (folder / "test_suite.py").write_text(SUITE)
    (folder / "test_module.py").write_text(MODULE)
    result = run(folder, ci=False)
    assert result.returncode == 0, result.stdout
    assert "1 passed, 5 skipped, 1 xfailed" in result.stdout
