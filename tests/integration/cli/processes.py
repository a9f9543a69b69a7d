"""The processes that were started for a data directory, whoever started them."""

from pathlib import Path

_KINDS = {b"functions.edge.app": "edge", b"functions.gpu.server": "gpu", b"functions.batch.machine": "machine"}
_KINDS |= {b"functions.gpu.worker_process": "worker"}


def processes_of(data: Path) -> dict[int, str]:
    """What each of them is, by its id."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            words, settings = (entry / "cmdline").read_bytes(), (entry / "environ").read_bytes()
        except OSError:
            continue
        kind = next((kind for words_of, kind in _KINDS.items() if words_of in words), None)
        if kind is not None and f"sqlite:///{data}/".encode() in settings:
            found[int(entry.name)] = kind
    return found
