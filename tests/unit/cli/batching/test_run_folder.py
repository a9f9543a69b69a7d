"""Which runs are the same, what is kept of one, and that one process has it."""

from pathlib import Path

import pytest

from penstock.cli.batching.run_folder import RunFolder
from penstock.cli.data import DataDirectory
from penstock.cli.failure import Failure


@pytest.fixture
def data(tmp_path: Path) -> DataDirectory:
    """A data directory."""
    return DataDirectory(tmp_path / "data")


def source(tmp_path: Path, name: str, content: bytes) -> Path:
    (tmp_path / name).write_bytes(content)
    return tmp_path / name


def test_the_content_the_output_and_the_model_make_a_run(data: DataDirectory, tmp_path: Path) -> None:
    one, same, other = (source(tmp_path, name, content) for name, content in (("a", b"x"), ("b", b"x"), ("c", b"y")))
    out = tmp_path / "out"
    run = RunFolder.of(data, one, out, None)
    assert run.path.parent == data.runs
    assert RunFolder.of(data, same, out, None).path == run.path
    others = {
        RunFolder.of(data, other, out, None).path,
        RunFolder.of(data, one, tmp_path / "out2", None).path,
        RunFolder.of(data, one, out, "demo").path,
    }
    assert len(others | {run.path}) == 4


def test_the_outputs_path_counts_and_not_how_it_is_said(
    data: DataDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    one = source(tmp_path, "a", b"x")
    assert RunFolder.of(data, one, Path("out"), None).path == RunFolder.of(data, one, tmp_path / "out", None).path


def test_an_empty_input_is_refused(data: DataDirectory, tmp_path: Path) -> None:
    with pytest.raises(Failure, match="a: empty"):
        RunFolder.of(data, source(tmp_path, "a", b""), tmp_path / "out", None)


def test_its_batch_is_kept_and_forgotten(data: DataDirectory, tmp_path: Path) -> None:
    run = RunFolder.of(data, source(tmp_path, "a", b"x"), tmp_path / "out", None)
    with run.owned():
        assert run.batch_id() is None
        run.keep("batch_1")
        run.objects.mkdir()
        (run.objects / "x").touch()
        run.book.touch()
        assert run.batch_id() == "batch_1"
        run.clear_objects()
        assert (run.batch_id(), run.objects.exists()) == ("batch_1", False)
        run.clear()
        assert run.batch_id() is None
        assert [file.name for file in run.path.iterdir()] == ["lock"]


def test_one_process_has_it(data: DataDirectory, tmp_path: Path) -> None:
    run = RunFolder.of(data, source(tmp_path, "a", b"x"), tmp_path / "out", None)
    with run.owned(), pytest.raises(Failure, match="is running already"), run.owned():
        pass
    with run.owned():
        assert run.path.stat().st_mode & 0o777 == 0o700
