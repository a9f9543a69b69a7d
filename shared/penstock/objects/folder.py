"""Objects in a folder of this machine, for any number of its processes. fsspec's own file system has neither a write
that replaces at once nor one that must be new, so it is not used here.

A folder differs from a bucket in that no object can lie under another (`a` and `a/b`), that no name in a key may be
longer than 255 bytes, and that it has no signed URLs. It needs a file system with hard links.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, ParamSpec, Self, TypeVar

from penstock.objects.draft import FOLDER, Draft, prepare
from penstock.objects.keys import check_key, check_prefix, is_key
from penstock.objects.protocol import Missing, Object, ObjectsUnavailable

P = ParamSpec("P")
T = TypeVar("T")

_THREADS = 8  # calls of one process that the disk has at once
_PAGE = 1_000  # objects of a listing that are looked up at a time
_LONGEST_NAME = 255  # bytes, as on every file system in use
_NO_FILE = (FileNotFoundError, IsADirectoryError, NotADirectoryError)


class Folder:
    """One folder. See the protocol."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="objects")

    @classmethod
    async def open(cls, root: Path) -> "Folder":
        """The store in a folder, which is made where it is not there. Raises ObjectsUnavailable."""
        folder = cls(root)
        try:
            await folder.run(prepare, root)
        except ValueError as error:
            raise ObjectsUnavailable(f"{root} is no folder, and cannot be one") from error
        return folder

    async def put(self, key: str, data: bytes) -> None:
        """Make the object, or replace it."""
        await self.run(_put, self._root, self._path(key), data)

    async def put_new(self, key: str, data: bytes) -> None:
        """Make the object. Raises Exists."""
        await self.run(_put_new, self._root, self._path(key), data)

    def writer(self, key: str) -> "FolderWriter":
        """Make the object, or replace it, with content that comes bit by bit."""
        return FolderWriter(self, self._root, self._path(key))

    async def get(self, key: str) -> bytes:
        """The whole content. Raises Missing."""
        return await self.run(_get, self._path(key))

    async def chunks(self, key: str, *, size: int = 8 << 20) -> AsyncGenerator[bytes]:
        """The content in chunks; of an object that is replaced meanwhile, the old one's."""
        file = await self.run(_open, self._path(key))
        try:
            while chunk := await self.run(file.read, size):
                yield chunk
        finally:
            file.close()

    async def size(self, key: str) -> int | None:
        """The object's size in bytes; None where there is none."""
        return await self.run(_size, self._path(key))

    async def list(self, prefix: str) -> AsyncIterator[Object]:
        """All objects whose keys begin with `prefix`, in the order of their keys."""
        found = _objects(self._path(check_prefix(prefix)[:-1]), prefix)
        while page := await self.run(_page, found):
            for each in page:
                yield each

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects, and the folders in which nothing is left."""
        await self.run(_delete, self._root, [self._path(key) for key in keys])

    async def signed_put(self, key: str, *, size: int, expires_s: int) -> None:
        """None: a folder has no such URLs."""
        self._path(key)

    async def signed_get(self, key: str, *, filename: str, expires_s: int) -> None:
        """None: a folder has no such URLs."""
        self._path(key)

    async def close(self) -> None:
        """Wait for what the disk still has to do."""
        await asyncio.to_thread(self._threads.shutdown)

    async def run(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """What blocks, in a thread."""
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, _reported, self._root, lambda: work(*args, **kwargs))

    def _path(self, key: str) -> Path:
        names = check_key(key).split("/")
        if names[0] == FOLDER or any(len(name.encode()) > _LONGEST_NAME for name in names):
            raise ValueError(f"{key[:64]!r} is no key of an object in a folder")
        return self._root.joinpath(*names)


class FolderWriter:
    """See the protocol."""

    _draft: Draft  # once it is entered

    def __init__(self, folder: Folder, root: Path, path: Path) -> None:
        self._folder = folder
        self._root = root
        self._path = path

    async def __aenter__(self) -> Self:
        self._draft = await self._folder.run(Draft, self._root)
        return self

    async def write(self, data: bytes) -> None:
        """Add to it."""
        await self._folder.run(self._draft.write, data)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._folder.run(self._draft.place, self._path)
        finally:
            await self._folder.run(self._draft.close)


def _reported(root: Path, work: Callable[[], T]) -> T:
    """What it comes to. Raises what the protocol says for what the system refuses."""
    try:
        return work()
    except (FileExistsError, IsADirectoryError, NotADirectoryError) as error:
        raise ValueError("in a folder, no object can lie under another") from error
    except OSError as error:
        raise ObjectsUnavailable(f"{root}: {error.strerror or error}") from error


def _put(root: Path, path: Path, data: bytes) -> None:
    with closing(Draft(root)) as draft:
        draft.write(data)
        draft.place(path)


def _put_new(root: Path, path: Path, data: bytes) -> None:
    with closing(Draft(root)) as draft:
        draft.write(data)
        draft.place_new(path)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except _NO_FILE as error:
        raise Missing(f"there is no object {path.name!r}") from error


def _get(path: Path) -> bytes:
    with _open(path) as file:
        return file.read()


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size if path.is_file() else None
    except FileNotFoundError:  # it was deleted in between
        return None


def _delete(root: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(*_NO_FILE):
            path.unlink()
        _prune(root, path.parent)


def _prune(root: Path, folder: Path) -> None:
    """Remove the folder and those around it, as far as nothing is in them."""
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _page(found: Iterator[Object]) -> list[Object]:
    return list(islice(found, _PAGE))


def _objects(folder: Path, prefix: str) -> Iterator[Object]:
    """The objects in the folder, whose keys begin with `prefix`, in the order of their keys."""
    with suppress(*_NO_FILE):
        for entry in sorted(os.scandir(folder), key=_place):
            key = prefix + entry.name
            if entry.is_dir():
                yield from _objects(folder / entry.name, f"{key}/")
            elif is_key(key):
                with suppress(FileNotFoundError):  # it was deleted in between
                    yield Object(key, entry.stat().st_size)


def _place(entry: os.DirEntry[str]) -> str:
    return entry.name + "/" * entry.is_dir()
