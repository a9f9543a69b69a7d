"""Whether what is deployed builds: the app in this repository does, and one that does not is told in a line."""

import shutil
from pathlib import Path

import pytest

from penstock.deploy import build
from penstock.deploy.build import check_build
from tests.unit.deploy.table import folder_of_a_model, model, table, wrongs
from tests.unit.repository.locks import ROOT


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout that may be broken."""
    packages = ("functions/__init__.py", "functions/gpu/__init__.py", "functions/gpu/modal_app.py")
    for name in ("pyproject.toml", "infra/locks/gpu.txt", *packages):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    monkeypatch.setattr(build, "_checkout", lambda: tmp_path)
    return tmp_path


def check(folder: Path) -> list[str]:
    file, models = table(folder, model())
    return wrongs(check_build(file, models.models))


def test_this_repository_builds_with_any_table(tmp_path: Path) -> None:
    folder_of_a_model(tmp_path / "demo")
    file, models = table(tmp_path, model() + model("acme/Other-2", more='modal = { gpu = "L4" }'))
    said = list(check_build(file, models.models))
    assert {each.state for each in said} == {"right"}, said


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "import nothing_of_that_name",
            "functions.gpu.modal_app is not imported: ModuleNotFoundError: No module named ",
        ),
        ("import modal_of_another_name as modal", "No module named 'modal_of_another_name'"),
        ("raise ValueError('first\\nlast')", "functions.gpu.modal_app is not imported: last"),
        ("app = 1", "functions.gpu.modal_app has no Gate_demo, Generator_demo, Worker_demo"),
        ("class Gate_demo: pass", "functions.gpu.modal_app has no Gate_demo, "),
        ("import os; os._exit(3)", "functions.gpu.modal_app is not imported: it ended"),
    ],
)
def test_an_app_that_does_not_build_is_told_in_a_line(copy: Path, code: str, says: str) -> None:
    pins = '\nTORCH = "torch==2.13.0"\n'
    (copy / "functions" / "gpu" / "modal_app.py").write_text(code + pins)
    (said,) = check(copy)
    assert says in said
    assert "\n" not in said


def test_an_app_that_hangs_is_given_up(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "WITHIN_S", 0.5)
    (copy / "functions" / "gpu" / "modal_app.py").write_text('import time; time.sleep(60)\nT = "torch==2.13.0"')
    (said,) = check(copy)
    assert "is not imported within" in said


def test_a_lock_that_has_another_version_is_found(copy: Path) -> None:
    lock = copy / "infra" / "locks" / "gpu.txt"
    lock.write_text(lock.read_text().replace("\nstarlette==", "\nstarlette==0."))
    said = [each for each in check(copy) if "gpu.txt" in each]
    assert len(said) == 1
    assert said[0].startswith("gpu.txt does not pin starlette==")
    assert said[0].endswith("| run infra/locks/compile")


def test_outside_of_a_clone_nothing_can_be_deployed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "_checkout", lambda: None)
    assert check(tmp_path) == ["what is deployed is in a clone of the repository, and this is none | run it from there"]
