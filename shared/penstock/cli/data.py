"""The data directory of `penstock serve`: the ledger, the keys it keeps, the logs.

It is its owner's alone (mode 0700, files 0600), and one `serve` uses it at a time. The files:
`ledger.db` (and SQLite's own beside it), `batches.db` and `objects/` (files and batches), `ticket.key` (signs
tickets between the edge and the GPU process), `key` (the first API key, for `penstock chat`), `penstock.toml` (the
served model), `serve.lock`, `logs/`, `spool/` (settlements that the ledger has not taken yet), `runs/` (of `penstock
batch run`, a folder each).
"""

import base64
import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penstock.cli.failure import Failure

_OURS = frozenset(
    {"ledger.db", "batches.db", "objects", "serve.lock", "ticket.key", "key", "penstock.toml", "logs", "spool", "runs"}
)


class DataDirectory:
    """Where one machine's Penstock keeps what it must not lose."""

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        self.ledger_file = self.path / "ledger.db"
        self.model_table = self.path / "penstock.toml"
        self.key_file = self.path / "key"
        self.spool = self.path / "spool"
        self.runs = self.path / "runs"

    @property
    def ledger_url(self) -> str:
        """The ledger's address for `open_ledger`."""
        return f"sqlite:///{self.ledger_file}"

    @property
    def book_url(self) -> str:
        """The address of the book of files and batches, for `open_book`."""
        return f"sqlite:///{self.path / 'batches.db'}"

    @property
    def objects_url(self) -> str:
        """The address of the files' contents, for `open_objects`."""
        return f"file://{self.path / 'objects'}"

    def log(self, process: str) -> Path:
        """The log file of a process."""
        return self.path / "logs" / f"{process}.log"

    @contextmanager
    def owned(self) -> Iterator[None]:
        """Make the directory where it is missing and keep every other `serve` out of it meanwhile."""
        self.prepare()
        with open(self.path / "serve.lock", "a", opener=_private) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Failure(f"another `penstock serve` is using {self.path}") from error
            yield

    def prepare(self) -> None:
        """Make the directory where it is missing. Raises Failure."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            names = {entry.name for entry in self.path.iterdir()}
            if names and not names & _OURS:
                raise Failure(f"{self.path} holds other files; give --data a directory of its own")
            self.path.chmod(0o700)
            (self.path / "logs").mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Failure(f"the data directory cannot be used: {error}") from error

    def ticket_keys(self) -> str:
        """The ticket signing keys of this directory, as settings take them; made once."""
        file = self.path / "ticket.key"
        if not file.exists():
            write_private(file, f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}")
        return file.read_text(encoding="ascii").strip()

    def kept_key(self) -> str | None:
        """The API key that `serve` made and kept, or None."""
        try:
            return self.key_file.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return None

    def keep_key(self, key: str) -> None:
        """Keep an API key, readable by the owner alone."""
        write_private(self.key_file, key)


def write_private(file: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: it is there complete, or as it was before."""
    draft = file.with_name(f"{file.name}.new")
    draft.unlink(missing_ok=True)
    with open(draft, "x", encoding="utf-8", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write(f"{text}\n")
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
