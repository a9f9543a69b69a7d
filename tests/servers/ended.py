"""Whether what a test started has ended."""

import os
from pathlib import Path


def gone(process_id: int) -> bool:
    """Whether a process has ended. One that nobody has waited for yet has ended too, where that can be seen."""
    try:
        os.kill(process_id, 0)
        stat = Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8")
    except ProcessLookupError:
        return True
    except FileNotFoundError:  # it ended in between, or this system has no /proc
        return Path("/proc/self/stat").exists()
    return stat.rpartition(")")[2].split()[0] == "Z"
