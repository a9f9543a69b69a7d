"""A file on its way to being an object of a folder: whole in its place, or not there at all.

It is written under a name of its own beside the objects, synchronised with the disk, and then put in its place by one
call of the kernel: `rename`, or for an object that must be new `link`, which never replaces. Blocking calls alone.
"""

import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from penstock.objects.protocol import Exists

FOLDER = ".drafts"
_DEAD_S = 24 * 3_600  # one that was not touched for so long is nobody's any more
_TRIES = 8  # to put it in a folder, where others keep removing that as empty


class Draft:
    """One draft, of an object in the folder `root`. It is to be closed."""

    def __init__(self, root: Path) -> None:
        self._path = root / FOLDER / secrets.token_hex(16)
        self._file = self._path.open("xb")

    def write(self, data: bytes) -> None:
        """Add to it."""
        self._file.write(data)

    def place(self, target: Path) -> None:
        """Put it there, in place of what is there."""
        self._put(os.replace, target)

    def place_new(self, target: Path) -> None:
        """Put it there. Raises Exists where something else is there already."""
        try:
            self._put(os.link, target)
        except FileExistsError:
            if target.read_bytes() != self._path.read_bytes():
                raise Exists(f"there is another object at {target.name!r}") from None

    def close(self) -> None:
        """Leave nothing of it, except in its place."""
        self._file.close()
        self._path.unlink(missing_ok=True)

    def _put(self, put: Callable[[Path, Path], None], target: Path) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        for _ in range(_TRIES):
            _make(target.parent)
            with suppress(FileNotFoundError):
                put(self._path, target)
                return _synchronise(target.parent)
        raise FileNotFoundError(None, "the folder disappears again and again", str(target.parent))


def prepare(root: Path) -> None:
    """Make the folder, and remove what the dead have left of their drafts."""
    drafts = root / FOLDER
    _make(drafts)
    for path in drafts.iterdir():
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < time.time() - _DEAD_S:
                path.unlink()


def _make(folder: Path) -> None:
    if folder.is_dir():
        return
    _make(folder.parent)
    with suppress(FileNotFoundError):  # its parent was empty, and somebody has removed it: the caller tries again
        folder.mkdir(exist_ok=True)
        _synchronise(folder.parent)


def _synchronise(folder: Path) -> None:
    """Have the names in it survive the loss of power, too."""
    with suppress(FileNotFoundError):  # what was in it is gone again
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
