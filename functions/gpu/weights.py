"""A model's weights on a mounted Volume: found by who loads them, put there by who pulls.

Promises that what is found is whole, as large as the manifest says, and the revision that the table names; that
what a pull publishes has the hub's own checksums; and that a pull which is repeated fetches no whole file twice
and leaves what is there. Only pulling asks the network. Two pulls on one mount wait for each other; on two mounts
(two containers) both fetch, and publish the same. The layout is penstock.weights'; committing and reloading the
Volume is left to who mounts it. Knows nothing of Modal.
"""

import contextlib
import errno
import fcntl
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime
from hashlib import sha1, sha256
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from functions.gpu.engine import ModelUnreadable
from functions.gpu.engine.hub import HubFile, fetch, wanted_files
from penstock.models import ServedModel
from penstock.weights import (
    CURRENT,
    MAX_MANIFEST_BYTES,
    PARTIAL,
    Manifest,
    Progress,
    Step,
    WeightFile,
    WeightsError,
    folder_of,
    parse_current,
    parse_manifest,
)

__all__ = ["Progress", "Weights"]

_READ = 4 << 20  # bytes at once
_NO_LOCKS = {errno.ENOSYS, errno.ENOTSUP, errno.ENOLCK}


class Weights:
    """The weights below one folder. `poll_s` is how often a pull tells how far it is."""

    def __init__(self, root: Path, *, endpoint: str | None = None, poll_s: float = 1.0) -> None:
        self._root = root
        self._endpoint = endpoint
        self._poll_s = poll_s

    def find(self, model: ServedModel) -> Path:
        """The folder to load the model from. Raises ModelUnreadable, which names what puts the weights there."""
        return self._folder(model.name) / self._found(model).revision

    def pull(self, model: ServedModel) -> Iterator[Progress]:
        """Put the weights of a repository's commit there, and tell how far that is, until it is done.

        Who leaves early waits until the fetching ends. Raises WeightsError.
        """
        if not model.of_hub:
            raise WeightsError(f"{model.name}: its source is a folder, whose files come from where that folder is")
        partial = self._root / PARTIAL / folder_of(model.name) / str(model.revision)
        try:
            partial.mkdir(parents=True, exist_ok=True)
            with partial.with_suffix(".lock").open("w") as lock:
                while not _taken(lock):
                    yield _progress("waiting", 0, 0)
                    time.sleep(self._poll_s)
                if not self._there(model):
                    yield from self._bring(model, partial)
                shutil.rmtree(partial, ignore_errors=True)
            total = self._found(model).total
        except (ModelUnreadable, OSError) as error:
            raise WeightsError(_named(model, error)) from error
        yield _progress("done", total, total)

    def _bring(self, model: ServedModel, partial: Path) -> Iterator[Progress]:
        repository, commit = model.source, str(model.revision)
        files = wanted_files(repository, commit, endpoint=self._endpoint)
        total = sum(file.size for file in files)
        partial.mkdir(parents=True, exist_ok=True)  # another pull, of which we were waiting, ended with it
        with ThreadPoolExecutor(1) as thread:
            fetching = thread.submit(fetch, repository, commit, partial, endpoint=self._endpoint)
            while not wait({fetching}, timeout=self._poll_s).done:
                yield _progress("fetching", min(_bytes_below(partial), total), total)
            fetching.result()
        checked: list[WeightFile] = []
        for file in files:
            yield _progress("checking", sum(each.size for each in checked), total)
            checked.append(_checked(partial, file))
        self._publish(
            partial,
            Manifest(
                model=model.name, source=repository, revision=commit, files=tuple(checked), pulled_at=datetime.now(UTC)
            ),
        )

    def _publish(self, partial: Path, manifest: Manifest) -> None:
        """Make the files the revision's. What is there already is not whole, or this would not have been brought."""
        folder = self._folder(manifest.model)
        (folder / f"{manifest.revision}.json").unlink(missing_ok=True)
        shutil.rmtree(folder / manifest.revision, ignore_errors=True)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        partial.rename(folder / manifest.revision)
        _write(folder / f"{manifest.revision}.json", manifest)

    def _found(self, model: ServedModel) -> Manifest:
        """What the served revision is, all of whose files are there. Raises ModelUnreadable."""
        folder, remedy = self._folder(model.name), f"run `penstock weights pull {model.name}`"
        revision = model.revision if model.of_hub else _current(folder)
        manifest = None if revision is None else parse_manifest(_content(folder / f"{revision}.json"))
        if manifest is None or (model.of_hub and manifest.source != model.source):
            which = f" of {model.source} at {model.revision}" if model.of_hub else ""
            raise ModelUnreadable(f"{model.name}: its weights{which} are not in {self._root}: {remedy}")
        for file in manifest.files:
            size = _size(folder / manifest.revision / file.name)
            if size != file.size:
                there = "is missing" if size is None else f"has {size} bytes and not {file.size}"
                raise ModelUnreadable(f"{model.name}: {file.name} in {folder / manifest.revision} {there}: {remedy}")
        return manifest

    def _there(self, model: ServedModel) -> bool:
        try:
            self._found(model)
        except ModelUnreadable:
            return False
        return True

    def _folder(self, model: str) -> Path:
        return self._root / folder_of(model)


def _current(folder: Path) -> str | None:
    current = parse_current(_content(folder / CURRENT))
    return None if current is None else current.revision


def _checked(folder: Path, expected: HubFile) -> WeightFile:
    """The file as the manifest has it. Removes one whose content is not what the hub has, and raises."""
    path = folder / expected.name
    size = path.stat().st_size
    content, blob = sha256(), sha1(f"blob {size}\0".encode(), usedforsecurity=False)
    with path.open("rb") as file:
        while part := file.read(_READ):
            content.update(part)
            if expected.sha256 is None:
                blob.update(part)
    same = content.hexdigest() == expected.sha256 if expected.sha256 else blob.hexdigest() == expected.blob_sha1
    if size != expected.size or not same:
        path.unlink()
        raise ModelUnreadable(f"{expected.name} arrived damaged and was removed: pull again")
    return WeightFile(name=expected.name, size=size, sha256=content.hexdigest())


def _taken(lock: IO[str]) -> bool:
    """Whether the lock is now ours. Where there are no locks it is: what is published is the same then."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def _progress(step: Step, done: int, total: int) -> Progress:
    return {"step": step, "done": done, "total": total}


def _named(model: ServedModel, error: Exception) -> str:
    """One line, which begins with the model's name."""
    line = " ".join(str(error).split())
    return line if line.startswith(f"{model.name}: ") else f"{model.name}: {line}"


def _bytes_below(folder: Path) -> int:
    sizes = (_size(file) for file in folder.rglob("*"))
    return sum(size for size in sizes if size is not None)


def _size(file: Path) -> int | None:
    """Bytes of a file; None where there is none."""
    with contextlib.suppress(OSError):
        return file.stat().st_size if file.is_file() else None
    return None


def _content(file: Path) -> bytes:
    """What a small file says; nothing where there is none."""
    try:
        with file.open("rb") as opened:
            return opened.read(MAX_MANIFEST_BYTES)
    except OSError:
        return b""


def _write(file: Path, content: BaseModel) -> None:
    """All of it, or nothing."""
    draft = file.with_suffix(".draft")
    draft.write_text(content.model_dump_json(indent=1) + "\n", encoding="utf-8")
    draft.replace(file)
