"""scripts/deploy, in a folder of its own with stand-ins for what it calls."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.infra.osls import ROOT

NOTE = '#!/usr/bin/env bash\nset -eu\necho "$(basename "$0") $*" >>"$ASKED"\n[[ "$*" != *"${FAIL_AT:-nothing}"* ]]\n'
# npm leaves osls in the folder.
NPM = NOTE + "mkdir -p node_modules/.bin && cp scripts/package node_modules/.bin/osls\n"
Deploy = Callable[..., tuple[int, list[str]]]


def write_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


@pytest.fixture
def deploy(tmp_path: Path) -> Deploy:
    """Runs it: its status, and what it asked of others."""
    checkout, asked = tmp_path / "checkout", tmp_path / "asked"
    (checkout / "scripts").mkdir(parents=True)
    shutil.copy(ROOT / "scripts" / "deploy", checkout / "scripts" / "deploy")
    shutil.copy(ROOT / "package-lock.json", checkout / "package-lock.json")
    write_program(checkout / "scripts" / "package", NOTE)
    write_program(tmp_path / "bin" / "npm", NPM)

    def run(*arguments: str, **environment: str) -> tuple[int, list[str]]:
        asked.write_text("", encoding="utf-8")
        path = f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            [checkout / "scripts" / "deploy", *arguments],
            cwd="/",
            env={"PATH": path, "ASKED": str(asked), **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, asked.read_text(encoding="utf-8").splitlines()

    return run


NPM_CI = "npm ci --ignore-scripts --no-audit --no-fund --loglevel error"


def test_it_packages_installs_deploys_and_says_what_there_is(deploy: Deploy) -> None:
    assert deploy("staging", "--param", "gpuUrl=https://gpu.example") == (
        0,
        [
            "package --python 3.13 --architecture arm64",
            NPM_CI,
            "osls deploy --stage staging --param gpuUrl=https://gpu.example",
            "osls info --verbose --stage staging --param gpuUrl=https://gpu.example",
        ],
    )


def test_what_is_installed_is_not_installed_again(deploy: Deploy) -> None:
    deploy("staging")
    status, asked = deploy("staging")
    assert status == 0
    assert NPM_CI not in asked


@pytest.mark.parametrize("option", [["--param", "{}"], ["--param={}"]])
def test_the_zips_are_for_what_runs_them(deploy: Deploy, option: list[str]) -> None:
    given = [part.format(value) for value in ("architecture=x86_64", "pythonRuntime=python3.12") for part in option]
    status, asked = deploy("staging", *given)
    assert (status, asked[0]) == (0, "package --python 3.12 --architecture x86_64")


def test_unless_said_the_zips_are_for_what_the_stages_say() -> None:
    default = (ROOT / "serverless.yml").read_text(encoding="utf-8").partition("  production:")[0]
    script = (ROOT / "scripts" / "deploy").read_text(encoding="utf-8")
    assert "\n    architecture: arm64\n    pythonRuntime: python3.13\n" in default
    assert "architecture=arm64 python=3.13" in script


@pytest.mark.parametrize("arguments", [[], ["--param", "architecture=arm64"]])
def test_there_is_a_stage(deploy: Deploy, arguments: list[str]) -> None:
    assert deploy(*arguments) == (2, [])


@pytest.mark.parametrize(("step", "asked"), [("architecture", 1), ("ci", 2), ("deploy", 3)])
def test_a_step_that_fails_is_the_last(deploy: Deploy, step: str, asked: int) -> None:
    status, calls = deploy("staging", FAIL_AT=step)
    assert status != 0
    assert len(calls) == asked
