"""A served process's log: one file, appended to, with one old one beside it."""

import shutil
from pathlib import Path

import orjson

_LARGEST = 16 << 20  # bytes
_READ = 64 << 10  # bytes of the end that are searched for the last error
_SHOWN = 400  # characters of an error
_ERRORS = frozenset({"error", "critical"})
_UVICORN_LAST_WORDS = "Application startup failed. Exiting."  # the reason stands above it


class LogFile:
    """The process writes it, the supervisor bounds it and reads why the process died."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.exists() else 0

    def bound(self) -> None:
        """Begin anew where the file is large, keeping the old one.

        The process writes on through its own descriptor (O_APPEND), so the file is copied and emptied
        under it: lines written between the two are lost, which a log can bear.
        """
        if self.size() > _LARGEST:
            shutil.copyfile(self.path, self.path.with_suffix(".log.1"))
            with self.path.open("r+b") as file:
                file.truncate(0)

    def last_error(self, since: int, event: str | None = None) -> tuple[str | None, str]:
        """The last error after byte `since`: its `event` where it is one of our JSON lines, and its text.

        A line that is not ours (a traceback's last one) is taken for an error. With an `event`, only such errors are.
        """
        with self.path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(since if since <= size else 0, size - _READ))
            lines = [line.decode("utf-8", "replace").strip() for line in file.read().splitlines()]
        for line in reversed(lines):
            entry = _entry(line)
            if event is None and entry is None and line and not line.endswith(_UVICORN_LAST_WORDS):
                return None, line.removeprefix("ERROR:").strip().rstrip(".")[:_SHOWN]
            of_it = entry is not None and event in (None, entry.get("event"))
            if entry is not None and of_it and "error" in entry and entry.get("level") in _ERRORS:
                return str(entry.get("event")), str(entry["error"])[:_SHOWN]
        return None, ""


def _entry(line: str) -> dict[str, object] | None:
    try:
        entry = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return entry if isinstance(entry, dict) else None
