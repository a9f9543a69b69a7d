"""A zip whose bytes depend on its files alone: their order, times, modes and compression are fixed."""

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

_TIME = (1980, 1, 1, 0, 0, 0)  # the first that a zip can say
_UNIX = 3
_LEVEL = 9


@dataclass(frozen=True, slots=True)
class Member:
    """A file in the zip: its path there, its bytes, and how many they are in the zip."""

    path: str
    size: int
    zipped: int


@dataclass(frozen=True, slots=True)
class Archive:
    """A zip that was written: where, how many bytes, what it holds, and its SHA-256 in hexadecimal."""

    path: Path
    size: int
    sha256: str
    members: tuple[Member, ...]


def write_archive(folder: Path, paths: Iterable[str], to: Path) -> Archive:
    """Pack the files of `folder`. At `to` there is the whole new zip, or what was there before. Raises OSError."""
    to.parent.mkdir(parents=True, exist_ok=True)
    partial = to.with_name(f".{to.name}.{os.getpid()}")
    try:
        with ZipFile(partial, "w") as packed:
            for path in sorted(paths):
                content = (folder / path).read_bytes()
                packed.writestr(_entry(path, content), content, ZIP_DEFLATED, _LEVEL)
        members = tuple(Member(info.filename, info.file_size, info.compress_size) for info in packed.infolist())
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()
        size = partial.stat().st_size
        partial.replace(to)
    finally:
        partial.unlink(missing_ok=True)
    return Archive(to, size, digest, members)


def _entry(path: str, content: bytes) -> ZipInfo:
    """Every file can be read by all, as Lambda needs it; a script can be run, whatever its mode here."""
    entry = ZipInfo(path, _TIME)
    entry.create_system = _UNIX
    entry.external_attr = (0o100755 if content.startswith(b"#!") and not path.endswith(".py") else 0o100644) << 16
    return entry
