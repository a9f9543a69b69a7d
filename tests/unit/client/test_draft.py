"""A file is there whole, or as it was."""

from pathlib import Path

import pytest

from penstock.client.draft import draft_of


def test_it_replaces_what_was_there_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"old")
    with draft_of(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_nothing_is_changed_and_nothing_left(tmp_path: Path) -> None:
    path = tmp_path / ("x" * 250)
    path.write_bytes(b"old")
    with pytest.raises(TypeError), draft_of(path) as file:
        file.writelines([b"new", "no bytes"])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
