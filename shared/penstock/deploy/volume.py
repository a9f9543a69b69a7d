"""The weights on the deployment's Volume, from a machine that does not mount it: listed, sent, removed.

The layout is penstock.weights'. What is sent is compared with nothing on the way: Modal names content by its
SHA-256, and the manifest, which is sent last, has the digests of what was read here. A repository of the hub is
not fetched here; the deployed app fetches it (pull.py).
"""

import io
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

import modal
from pydantic import BaseModel

from penstock.deploy.errors import NotThere
from penstock.deploy.folder import described, wanted_in
from penstock.deploy.workspace import asking
from penstock.models import ServedModel
from penstock.weights import (
    CURRENT,
    MAX_MANIFEST_BYTES,
    PARTIAL,
    Current,
    Manifest,
    Progress,
    WeightFile,
    WeightsError,
    folder_of,
    parse_current,
    parse_manifest,
    revision_of,
)

_MANIFEST = re.compile(r"[0-9a-f]{40}\.json")


class WeightsVolume:
    """The Volume of that name in an environment of the workspace (None: the configured one).

    Every method raises DeployError where Modal refuses or cannot be asked.
    """

    def __init__(self, name: str, environment: str | None = None) -> None:
        self._name = name
        self._environment = environment
        self._volume = self._handle(create=False)

    def everything(self) -> tuple[Manifest, ...]:
        """What is there, by model and then by the time of its pull."""
        found = [each for folder in self._names("/") if folder != PARTIAL for each in self._manifests(folder)]
        return tuple(sorted(found, key=lambda manifest: (manifest.model, manifest.pulled_at)))

    def served(self, model: ServedModel) -> Manifest | None:
        """What a container of the model would load; None where it is not there."""
        folder = folder_of(model.name)
        revision = model.revision if model.of_hub else self._current(folder)
        manifest = None if revision is None else parse_manifest(self._content(f"{folder}/{revision}.json"))
        return None if manifest is None or (model.of_hub and manifest.source != model.source) else manifest

    def send(self, model: ServedModel, folder: Path) -> Iterator[Progress]:
        """Put a folder's files there as the model's, and tell how far that is. Raises WeightsError, OSError.

        What is there already is not sent again.
        """
        paths = wanted_in(folder)
        self._volume = self._handle(create=True)
        with asking():
            self._volume.hydrate()  # before much is read in vain
        before = [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]
        total, files = sum(size for size, _ in before), list[WeightFile]()
        for path in paths:
            yield {"step": "checking", "done": _bytes(files), "total": total}
            files.append(described(path))
        revision, home = revision_of(files), folder_of(model.name)
        there = parse_manifest(self._content(f"{home}/{revision}.json"))
        if there is None or set(there.files) != set(files):
            for number, path in enumerate(paths):
                yield {"step": "sending", "done": _bytes(files[:number]), "total": total}
                self._put(path, f"{home}/{revision}/{path.name}")
            if before != [(path.stat().st_size, path.stat().st_mtime_ns) for path in paths]:
                raise WeightsError(f"{folder} changed while it was being sent: send it again")
            self._put_json(f"{home}/{revision}.json", _manifest(model, folder, revision, files))
        self._put_json(f"{home}/{CURRENT}", Current(revision=revision))
        yield {"step": "done", "done": total, "total": total}

    def remove(self, model: str, revision: str | None = None) -> tuple[str, ...]:
        """Remove a revision of a model's weights, or all of the model's; the revisions that were removed.

        A manifest goes before its files. A container that has loaded them keeps what it has in memory.
        """
        home = folder_of(model)
        revisions = [each.revision for each in self._manifests(home) if revision in (None, each.revision)]
        if revision is None or self._current(home) == revision:
            self._remove(f"{home}/{CURRENT}")
        for each in revisions:
            self._remove(f"{home}/{each}.json")
            self._remove(f"{home}/{each}")
        if revision is None:
            self._remove(home)
            self._remove(f"{PARTIAL}/{home}")
        return tuple(revisions)

    def _handle(self, *, create: bool) -> modal.Volume:
        with asking():
            return modal.Volume.from_name(
                self._name, environment_name=self._environment, create_if_missing=create, version=2
            )

    def _manifests(self, folder: str) -> Iterator[Manifest]:
        for name in self._names(folder):
            if _MANIFEST.fullmatch(name) and (manifest := parse_manifest(self._content(f"{folder}/{name}"))):
                yield manifest

    def _current(self, folder: str) -> str | None:
        current = parse_current(self._content(f"{folder}/{CURRENT}"))
        return None if current is None else current.revision

    def _names(self, path: str) -> list[str]:
        """The names in a folder; none where the folder, or the Volume, is not there."""
        try:
            with asking():
                return [PurePosixPath(entry.path).name for entry in self._volume.listdir(path)]
        except NotThere:
            return []

    def _content(self, path: str) -> bytes:
        """What a small file says; nothing where there is none."""
        content = b""
        try:
            with asking():
                for part in self._volume.read_file(path):
                    content += part
                    if len(content) > MAX_MANIFEST_BYTES:
                        return b""
        except (FileNotFoundError, NotThere):
            return b""
        return content

    def _put(self, local: Path | io.BytesIO, remote: str) -> None:
        with asking(), self._volume.batch_upload(force=True) as batch:
            batch.put_file(local, remote)

    def _put_json(self, remote: str, content: BaseModel) -> None:
        self._put(io.BytesIO(content.model_dump_json(indent=1).encode() + b"\n"), remote)

    def _remove(self, path: str) -> None:
        try:
            with asking():
                self._volume.remove_file(path, recursive=True)
        except (FileNotFoundError, NotThere):
            pass


def _manifest(model: ServedModel, folder: Path, revision: str, files: list[WeightFile]) -> Manifest:
    return Manifest(
        model=model.name, source=folder.name, revision=revision, files=tuple(files), pulled_at=datetime.now(UTC)
    )


def _bytes(files: list[WeightFile]) -> int:
    return sum(file.size for file in files)
