"""What the commands about a deployment have in common: without modal they say what to install."""

import subprocess
import sys

import pytest

from penstock.cli.failure import Failure
from penstock.cli.workspace import named_model, on_modal
from penstock.deploy.errors import DeployError, NotThere
from penstock.weights import WeightsError
from tests.unit.repository.locks import ROOT

WITHOUT_MODAL = "import sys; sys.modules['modal'] = None; from penstock.cli import main; sys.exit(main())"


@pytest.mark.parametrize("command", ["weights list", "weights pull demo", "weights remove demo", "deploy urls"])
def test_without_modal_it_is_one_line(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT_MODAL, *command.split()],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = "penstock: modal is not installed: install penstock[modal]\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", said)


@pytest.mark.parametrize("error", [DeployError("so"), NotThere("so"), WeightsError("so")])
def test_what_goes_wrong_at_modal_is_a_failure(error: Exception) -> None:
    with pytest.raises(Failure, match=r"^so$"), on_modal():
        raise error


def test_another_module_that_is_missing_is_a_defect() -> None:
    with pytest.raises(ModuleNotFoundError), on_modal():
        raise ModuleNotFoundError(name="orjson")


def test_a_model_is_named_as_in_the_table() -> None:
    assert named_model(ROOT / "penstock.toml", "demo").name == "demo"
    with pytest.raises(Failure, match="no model of"):
        named_model(ROOT / "penstock.toml", "Demo")
