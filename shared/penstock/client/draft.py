"""A file that takes its place once it is whole: whoever looks there sees the one before, or all of the new one."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def draft_of(path: Path) -> Iterator[IO[bytes]]:
    """A new file, which replaces the one at `path` where the block ends without an error; with one, it is gone."""
    draft = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with draft.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
