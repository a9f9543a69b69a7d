"""The README's commands and programs, run as they stand, against a service on another port."""

import json
import os
import re
import subprocess
import sys

import pytest

from tests.e2e.service import ROOT, Service

BLOCKS = re.findall(r"^```(sh|python)\n(.*?)^```", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
# These two start this very service, and this very test.
APART = ("scripts/serve\n", "scripts/test\n")
# The README's reader is in a clone made by scripts/install; this test may run in another environment.
BIN = str(os.path.dirname(sys.executable))  # noqa: PTH120 (a symlink must stay one)


def run(service: Service, language: str, block: str) -> str:
    program = block.replace("http://127.0.0.1:8000", service.url).replace("ps_...", service.key)
    command = (
        ["bash", "-euc", program.replace(".venv/bin", BIN)] if language == "sh" else [sys.executable, "-c", program]
    )
    environment = {
        **os.environ,
        "PENSTOCK_API_KEY": service.key,
        "PENSTOCK_BASE_URL": f"{service.url}/v1",
        "PENSTOCK_DATA": str(service.data),
    }
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=180, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(("language", "block"), [block for block in BLOCKS if block[1] not in APART])
def test_a_block_of_the_readme_runs(service: Service, language: str, block: str) -> None:
    output = run(service, language, block)
    assert output.strip()
    if "curl" in block:
        assert '"content":' in output
        assert output.rstrip().endswith("data: [DONE]")
    if "stream=True" in block and language == "python":
        assert re.search(r"[A-Z].*\n\d+ tokens", output)
    if "json_schema" in block:
        *answers, last = output.splitlines()
        assert all(set(json.loads(answer)) == {"gate", "sure"} for answer in answers)
        assert len(answers) == 2
        assert last == "An embedding of 192 numbers."


def test_the_readme_has_its_two_commands_and_a_python_program() -> None:
    programs = [block for _, block in BLOCKS]
    assert all(command in programs for command in APART)
    assert "python" in [language for language, _ in BLOCKS]
