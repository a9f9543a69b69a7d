"""What the workflow does where a deployment turns out to be bad, by its own scripts: the stack goes back.

The functions are one line each: they are deployed, and not called.
"""

import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.aws.stack import ROOT, Stack
from tests.servers.environment import lead_to
from tests.servers.ministack import account
from tests.unit.repository.workflows import workflow

NOTES, GOES_BACK = "Note which edge is deployed now", "Go back to the edge that was deployed before"
GPU_URL = "http://127.0.0.1:1"
HANDLERS = {"edge": "functions/edge/handler.py", "batch": "functions/batch/schedule.py"}


class Job:
    """The workflow's job, which has come to its steps at AWS."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.stack = Stack("emulator", folder, {"build": str(folder), "gpuUrl": GPU_URL})

    def deploy(self, version: str) -> str:
        """Deploy that version of the functions; the hash of their code."""
        for name, path in HANDLERS.items():
            with zipfile.ZipFile(self.folder / f"{name}.zip", "w") as archive:
                archive.writestr(path, f"VERSION = {version!r}\n")
        self.stack.deploy()
        return self.code()

    def code(self) -> str:
        """The hash of the code that the edge has now."""
        digest: str = self.stack.configuration("edge")["Configuration"]["CodeSha256"]
        return digest

    def run(self, step: str, **variables: str) -> dict[str, str]:
        """The outputs of a step. Raises AssertionError where it fails."""
        (script,) = [each.run for each in workflow("deploy").steps() if each.name == step]
        output = self.folder / "output"
        output.write_text("")
        done = subprocess.run(
            ["bash", "-c", script.replace(".venv/bin/python", sys.executable)],
            cwd=ROOT,
            env={**os.environ, "GITHUB_OUTPUT": str(output), "STAGE": "emulator", "GPU_URL": GPU_URL, **variables},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        return dict(line.split("=", 1) for line in output.read_text().splitlines())


@pytest.fixture
def job(architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Job]:
    """In an account in which nothing is deployed."""
    assert architecture  # which functions of one line do not have; but no osls is there where this is skipped
    with account(tmp_path) as url:
        lead_to(url, monkeypatch)
        yield Job(tmp_path)


def test_a_bad_deployment_is_gone_back_from_to_what_was_there_and_not_to_what_was_uploaded_last(job: Job) -> None:
    assert job.run(NOTES) == {"timestamp": ""}
    with pytest.raises(AssertionError, match="there is nothing to go back to"):
        job.run(GOES_BACK, TIMESTAMP="")
    good = job.deploy("good")
    before = job.run(NOTES)["timestamp"]
    assert job.deploy("bad") != good
    assert job.run(NOTES)["timestamp"] > before
    job.run(GOES_BACK, TIMESTAMP=before)
    assert job.code() == good
    assert job.run(NOTES)["timestamp"] == before
