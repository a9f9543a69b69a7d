"""`python -m benchmarks.batch.validating FOLDER`: validate the input there, and print what that took, as JSON."""

import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from benchmarks.batch.large_input import CALLER, batch
from benchmarks.child import end_with_parent
from functions.batch.validation import validate
from penstock.clock import now_ms
from penstock.models import read_models
from penstock.objects import Objects, open_objects
from penstock.settings import BatchSettings


@dataclass(frozen=True, slots=True)
class Mark:
    """How far it was when so many bytes had been read: seconds, and bytes in memory at that moment."""

    read: int
    seconds: float
    resident: int | None


@dataclass(slots=True)
class Watched:
    """The store, and when what was read of the input."""

    objects: Objects
    marks: list[Mark] = field(default_factory=list)
    _begun: float = field(default_factory=time.perf_counter)

    async def chunks(self, key: str, *, size: int) -> AsyncGenerator[bytes]:
        """The input's, each marked once it has been dealt with."""
        read = 0
        async with aclosing(self.objects.chunks(key, size=size)) as chunks:
            async for chunk in chunks:
                yield chunk
                read += len(chunk)
                self.mark(read)

    def mark(self, read: int) -> None:
        """So far it is."""
        self.marks.append(Mark(read, time.perf_counter() - self._begun, _memory("VmRSS")))

    def __getattr__(self, name: str) -> Any:
        return getattr(self.objects, name)


async def main(folder: Path) -> None:
    """Validate as the batch functions do, with their settings' defaults."""
    settings = BatchSettings(ledger_url=f"sqlite:///{folder}/ledger.db", objects_url=folder.as_uri())
    models = read_models(Path("penstock.toml"))
    objects: Any = Watched(await open_objects(settings.objects_url))
    objects.mark(0)
    before = time.process_time()
    validated = await validate(batch(), CALLER, models, objects, settings, now=now_ms())
    marks = [asdict(mark) for mark in objects.marks]
    seconds = marks[-1]["seconds"]
    told = {
        "lines": validated.lines,
        "shards": len(validated.shards),
        "errors": [asdict(error) for error in validated.errors],
        "more_errors": validated.more_errors,
        "seconds": seconds,
        "cpu": time.process_time() - before,
        "peak": _memory("VmHWM"),
        "marks": marks,
    }
    await objects.close()
    sys.stdout.buffer.write(orjson.dumps(told))


def _memory(name: str) -> int | None:
    """Of this process, in bytes (proc(5): /proc/PID/status). Where the system has no /proc, None."""
    status = Path("/proc/self/status")
    if not status.exists():
        return None
    found = re.search(rf"^{name}:\s+(\d+) kB", status.read_text(encoding="ascii"), re.MULTILINE)
    return found and int(found[1]) * 1_024


if __name__ == "__main__":
    end_with_parent()
    asyncio.run(main(Path(sys.argv[1])))
