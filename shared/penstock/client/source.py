"""A file to be uploaded: where its bytes are read from, as often as they are sent, and what it is called."""

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Union

PART = 1 << 20  # bytes that are read at once
UNNAMED = "upload.jsonl"

Readable = Union[str, "os.PathLike[str]", bytes, IO[bytes]]
FileInput = Readable | tuple[str, Readable]  # a path, its bytes, an open file; or a name for them, and any of these


class Source:
    """Content that `Caller` can send. Raises OSError where there is none, TypeError for what is no file."""

    def __init__(self, file: FileInput) -> None:
        name, readable = file if isinstance(file, tuple) else (None, file)
        if isinstance(readable, bytes):
            readable = io.BytesIO(readable)
        self._file: Path | IO[bytes] = (
            Path(os.fspath(readable)) if isinstance(readable, str | os.PathLike) else readable
        )
        self.name = name or _name_of(self._file)
        with self._opened() as opened:
            if not hasattr(opened, "read") or not isinstance(opened.read(0), bytes):
                raise TypeError("a file is a path, bytes, or a file that was opened in binary mode")
            self.size = opened.seek(0, os.SEEK_END)

    def __iter__(self) -> Iterator[bytes]:
        """The bytes, up to the size that it had at first: what is added meanwhile is not sent."""
        left = self.size
        with self._opened() as opened:
            opened.seek(0)
            while left:
                part = opened.read(min(left, PART))
                if not part:
                    raise OSError(f"{self.name} became shorter while it was sent")
                left -= len(part)
                yield part

    @contextmanager
    def _opened(self) -> Iterator[IO[bytes]]:
        if isinstance(self._file, Path):
            with self._file.open("rb") as opened:
                yield opened
        else:
            yield self._file


def _name_of(file: Path | IO[bytes]) -> str:
    named = file if isinstance(file, Path) else getattr(file, "name", None)
    return os.path.basename(named) if isinstance(named, str | Path) else UNNAMED  # noqa: PTH119 (of a text, too)
