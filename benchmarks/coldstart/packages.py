"""The packaged functions and their bare peer, packaged by the same code and unpacked as Lambda does."""

import platform
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

from benchmarks.failure import BenchmarkFailed
from infra.packaging.build import build
from infra.packaging.bytecode import find_interpreter
from infra.packaging.deployable import BATCH, EDGE, Deployable
from infra.packaging.failure import PackagingFailed
from infra.packaging.target import Target

BARE = Deployable("bare", lock=EDGE.lock, entries=("benchmarks.coldstart.bare",))
_ARCHITECTURES = {"x86_64": "x86_64", "aarch64": "arm64"}


@dataclass(frozen=True, slots=True)
class Packages:
    """Of one Python: its interpreter, and the folder of each deployable by its name."""

    target: Target
    interpreter: Path
    folders: dict[str, Path]


def packages(python: str, directory: Path) -> Packages | None:
    """All of them, for this machine. None where it has no such Python. Raises BenchmarkFailed."""
    try:
        target = Target(python, _ARCHITECTURES.get(platform.machine(), platform.machine()))
        try:
            interpreter = find_interpreter(python)
        except PackagingFailed:
            return None
        folders = {one.name: _unpacked(one, target, interpreter, directory) for one in (BARE, EDGE, BATCH)}
    except PackagingFailed as error:
        raise BenchmarkFailed(str(error)) from error
    return Packages(target, interpreter, folders)


def _unpacked(deployable: Deployable, target: Target, interpreter: Path, directory: Path) -> Path:
    built = build(deployable, target, interpreter, directory)
    folder = directory / f"{deployable.name}-{target.python}"
    with ZipFile(built.archive.path) as archive:
        archive.extractall(folder)
    return folder
