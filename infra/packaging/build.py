"""Builds one deployable's zip, from the lock to the archive."""

import tempfile
from dataclasses import dataclass
from pathlib import Path

from infra.packaging.archive import Archive, write_archive
from infra.packaging.bytecode import compile_tree
from infra.packaging.deployable import Deployable
from infra.packaging.failure import PackagingFailed
from infra.packaging.lock import read_lock
from infra.packaging.report import report
from infra.packaging.target import Target
from infra.packaging.tree import lay_out
from infra.packaging.wheelhouse import gather

ROOT = Path(__file__).parents[2]
"""This checkout."""
WHEELS = ROOT / ".venv" / "wheels"
"""The wheelhouse that installation fills."""


def lock_of(deployable: Deployable, root: Path = ROOT) -> Path:
    """The lock in the checkout at `root`."""
    return root / "infra" / "locks" / f"{deployable.lock}.txt"


@dataclass(frozen=True, slots=True)
class Built:
    """A zip, and what it holds, as a table."""

    archive: Archive
    table: str


def build(
    deployable: Deployable, target: Target, interpreter: Path, output: Path, *, root: Path = ROOT, wheels: Path = WHEELS
) -> Built:
    """Write `<output>/<name>.zip` from the checkout at `root`. Raises PackagingFailed."""
    gathered = gather(wheels, read_lock(lock_of(deployable, root), target), target)
    with tempfile.TemporaryDirectory(prefix="penstock-package-") as scratch:
        tree = compile_tree(lay_out(root, deployable, gathered, Path(scratch)), target.python, interpreter)
        try:
            archive = write_archive(tree.folder, tree.owners, output / f"{deployable.name}.zip")
        except OSError as error:
            raise PackagingFailed(f"{output} cannot be written: {error}") from error
    return Built(archive, report(archive, tree.owners, target))
