"""The folder of one `penstock batch run`: all that the same command needs to go on where it was.

It lies in the data directory and is named after the input's content, the output's path and the model, so that another
input, or another place for the answers, is another run. The files: `batches.db` (the book), `batch` (the batch's id),
`objects/` (the input, the work under way, the results: gone once they are delivered), `penstock.toml` (with --model:
that model), `machine.log`, `lock`. The keys and the ledger are the data directory's own.
"""

import fcntl
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.cli.data import DataDirectory, write_private
from penstock.cli.failure import Failure
from penstock.cli.serving.model import choose, table_of
from penstock.models import read_models

_PART = 1 << 20  # bytes
_KEPT = frozenset({"lock", "penstock.toml"})


class RunFolder:
    """One run's."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.objects = path / "objects"
        self.book = path / "batches.db"
        self._batch = path / "batch"
        self._model_table = path / "penstock.toml"
        self.log = path / "machine.log"

    @classmethod
    def of(cls, data: DataDirectory, source: Path, output: Path, model: str | None) -> "RunFolder":
        """The folder of the run with this input, output and model. Reads the input. Raises OSError."""
        named = (_digest(source), str(output.absolute()), model or "")
        return cls(data.runs / hashlib.sha256("\0".join(named).encode()).hexdigest()[:32])

    @property
    def book_url(self) -> str:
        """The book's address for `open_book`."""
        return f"sqlite:///{self.book}"

    @property
    def objects_url(self) -> str:
        """The results' address for `open_objects`."""
        return f"file://{self.objects}"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Make it where it is missing, and keep every other run of the same out of it meanwhile. Raises Failure."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / "lock").open("ab") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Failure("the same `penstock batch run` is running already") from error
            yield

    def batch_id(self) -> str | None:
        """The id of the run's batch, or None where there is none yet."""
        return self._batch.read_text(encoding="ascii").strip() if self._batch.exists() else None

    def keep(self, batch_id: str) -> None:
        """Keep the id of the run's batch."""
        write_private(self._batch, batch_id)

    def chosen(self, model: str, table: Path) -> Path:
        """The table of a run with one model: of `table`, a folder's, or the hub's. Raises Failure, ConfigError."""
        write_private(self._model_table, table_of(choose(model, read_models(table)).model))
        return self._model_table

    def clear(self) -> None:
        """Forget the run; not its model, nor whose it is at present."""
        self.clear_objects()
        for file in self.path.iterdir():
            if file.name not in _KEPT:
                file.unlink()

    def clear_objects(self) -> None:
        """Forget the input, the work and the results."""
        shutil.rmtree(self.objects, ignore_errors=True)


def _digest(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as content:
        if not os.fstat(content.fileno()).st_size:
            raise Failure(f"{file}: empty", exit_code=2)
        while part := content.read(_PART):
            digest.update(part)
    return digest.hexdigest()
