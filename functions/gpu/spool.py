"""The spool: a folder that holds the settlements which the ledger has not taken yet.

What is kept here survives `kill -9` of the process, and a power loss: it is there complete, or not at all.
One file a settlement, `<request id>.json` (see `settlement`), of mode 0600, written under another name,
flushed and renamed. It is removed once the ledger has the settlement. A removal that is lost, or a file that
two processes settle, does no harm: the ledger counts a request once.

Any number of processes may use one folder. A file that cannot be read as a settlement, or that the ledger
will never take, is moved aside as `<name>.bad` and stays until a person looks at it; named `.json` again,
it is tried at the next start.

All work on the disk is done in order by one thread, so that a slow disk holds up no stream.
"""

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import structlog

from functions.gpu.settlement import Settlement
from penstock.models import ConfigError

MAX_FILE = 1 << 16  # bytes; a real one has some 600
MAX_BAD = 10_000  # files set aside; what comes then is only logged
DRAFT_LIFE_S = 3_600.0  # what is unfinished for so long was left by a process that was killed

T = TypeVar("T")

log = structlog.get_logger()


class Spool:
    """One folder of settlements."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, "spool")
        self._kept: dict[str, asyncio.Future[None]] = {}  # by request id: written, or being written

    @classmethod
    async def open(cls, folder: Path) -> "Spool":
        """Open the folder, made where it is missing. Raises ConfigError where it cannot be written to."""
        spool = cls(folder)
        try:
            await spool._do(spool._prepare)
        except OSError as error:
            await spool.close()
            raise ConfigError(f"PENSTOCK_SPOOL: {folder} cannot be used: {error.strerror}") from error
        return spool

    async def left(self) -> Sequence[str]:
        """The names of the files that are there, the oldest first. To be asked before anything is kept."""
        try:
            return await self._do(self._names)
        except OSError as error:
            log.error("spool_failed", error=str(error))
            return []

    async def read(self, name: str) -> Settlement | None:
        """The settlement in a file that was left; None where there is none, which is logged."""
        try:
            settlement = await self._do(self._read, name)
        except FileNotFoundError:
            return None  # another process on the same folder has settled it
        except (OSError, ValueError) as error:
            log.error("spool_unreadable", file=name, error=type(error).__name__)
            await self._move_aside(name)
            return None
        self._kept.setdefault(settlement.request_id, _done())
        return settlement

    async def keep(self, settlement: Settlement) -> bool:
        """Have the settlement on disk. False where that cannot be done, which is logged."""
        writing = self._kept.get(settlement.request_id)
        if writing is None:
            writing = self._kept[settlement.request_id] = self._do(self._write, settlement)
        try:
            # A write goes on without whoever waits for it.
            await asyncio.shield(writing)
        except OSError as error:
            self._kept.pop(settlement.request_id, None)
            log.error("spool_failed", request_id=settlement.request_id, error=str(error))
            return False
        return True

    async def drop(self, settlement: Settlement) -> None:
        """Remove the settlement's file, if it has one: the ledger has it."""
        if self._kept.pop(settlement.request_id, None) is None:
            return
        try:
            await self._do((self._folder / _name(settlement)).unlink, missing_ok=True)
        except OSError as error:  # it is settled again at the next start, and counts once
            log.warning("spool_failed", request_id=settlement.request_id, error=str(error))

    async def set_aside(self, settlement: Settlement) -> None:
        """Keep a settlement that the ledger will never take, out of the way."""
        if await self.keep(settlement):
            self._kept.pop(settlement.request_id, None)
            await self._move_aside(_name(settlement))

    async def close(self) -> None:
        """Finish what is being written."""
        await asyncio.to_thread(self._thread.shutdown)

    def _do(self, work: Callable[..., T], *args: object, **options: object) -> "asyncio.Future[T]":
        return asyncio.get_running_loop().run_in_executor(self._thread, lambda: work(*args, **options))

    async def _move_aside(self, name: str) -> None:
        try:
            await self._do(self._rename_bad, name)
        except OSError as error:
            log.error("spool_failed", file=name, error=str(error))

    # -- on the thread ----------------------------------------------------------------------------

    def _prepare(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        probe = self._folder / _draft("probe")
        _create(probe, b"")
        probe.unlink()
        for draft in self._folder.glob("*.new"):
            with suppress(FileNotFoundError):
                if draft.stat().st_mtime < time.time() - DRAFT_LIFE_S:
                    draft.unlink()

    def _names(self) -> list[str]:
        ages = []
        for file in self._folder.glob("*.json"):
            with suppress(FileNotFoundError):
                ages.append((file.stat().st_mtime_ns, file.name))
        return [name for _, name in sorted(ages)]

    def _read(self, name: str) -> Settlement:
        with (self._folder / name).open("rb") as file:
            settlement = Settlement.read(file.read(MAX_FILE))
        if _name(settlement) != name:
            raise ValueError("it is named after another request")
        return settlement

    def _write(self, settlement: Settlement) -> None:
        draft = self._folder / _draft(settlement.request_id)
        try:
            _create(draft, settlement.written())
            draft.replace(self._folder / _name(settlement))
        except OSError:
            draft.unlink(missing_ok=True)
            raise
        _flush(self._folder)

    def _rename_bad(self, name: str) -> None:
        if sum(1 for _ in self._folder.glob("*.bad")) >= MAX_BAD:
            raise OSError(f"{MAX_BAD} files are set aside already")
        bad = self._folder / f"{name}.bad"
        if bad.exists():  # of the same request: both stay
            bad = self._folder / f"{name}.{secrets.token_hex(4)}.bad"
        (self._folder / name).rename(bad)


def _name(settlement: Settlement) -> str:
    return f"{quote(settlement.request_id, safe='')}.json"


def _draft(request_id: str) -> str:
    """A name that no other process, and no earlier one, writes to."""
    return f"{quote(request_id, safe='')}.{secrets.token_hex(8)}.new"


def _create(file: Path, content: bytes) -> None:
    with open(file, "xb", opener=lambda path, flags: os.open(path, flags, 0o600)) as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())


def _flush(folder: Path) -> None:
    """Make the names in the folder last: a rename is the folder's change, not the file's."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _done() -> "asyncio.Future[None]":
    done = asyncio.get_running_loop().create_future()
    done.set_result(None)
    return done
