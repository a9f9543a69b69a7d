"""What can be uploaded: paths, bytes and open files, with a name or without, as often as they are sent."""

import io
from pathlib import Path
from typing import Any

import pytest

from penstock.client import source as source_module
from penstock.client.source import UNNAMED, Source

CONTENT = b"one\ntwo\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file with CONTENT."""
    file = tmp_path / "in.jsonl"
    file.write_bytes(CONTENT)
    return file


def read_away(content: bytes) -> io.BytesIO:
    file = io.BytesIO(content)
    file.read()
    return file


@pytest.mark.parametrize("kind", [Path, str, lambda path: path.read_bytes(), lambda path: read_away(path.read_bytes())])
def test_whatever_it_is_all_of_it_is_sent_each_time(path: Path, kind: Any) -> None:
    source = Source(kind(path))
    assert source.size == len(CONTENT)
    assert [b"".join(source), b"".join(source)] == [CONTENT, CONTENT]


def test_its_name_is_the_given_one_the_files_or_none(path: Path) -> None:
    assert Source(path).name == Source(str(path)).name == "in.jsonl"
    assert Source(CONTENT).name == Source(io.BytesIO(CONTENT)).name == UNNAMED
    assert Source(("other.jsonl", path)).name == Source(("other.jsonl", CONTENT)).name == "other.jsonl"
    with path.open("rb") as opened:
        assert Source(opened).name == "in.jsonl"


def test_it_is_read_in_parts(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source_module, "PART", 3)
    assert list(Source(path)) == [b"one", b"\ntw", b"o\n"]


def test_what_is_added_meanwhile_is_not_sent_and_what_is_missing_is_said(path: Path) -> None:
    source = Source(path)
    path.write_bytes(CONTENT + b"three\n")
    assert b"".join(source) == CONTENT
    path.write_bytes(b"one")
    with pytest.raises(OSError, match=r"in\.jsonl became shorter while it was sent"):
        b"".join(source)


def test_what_is_not_there_or_no_bytes_is_said_at_once(path: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Source(tmp_path / "nothing")
    with path.open() as text, pytest.raises(TypeError, match="opened in binary mode"):
        Source(text)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="a path, bytes, or a file"):
        Source(7)  # type: ignore[arg-type]
