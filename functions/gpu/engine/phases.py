"""The phases of a load: how long each took, and which one it was that failed.

Their names are those of `load_seconds`; whoever adds them up knows them by these.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from functions.gpu.engine.protocol import ModelUnreadable

LINE = 200  # characters of a library's error message that are passed on; some list every model there is


@contextmanager
def phase(name: str, folder: Path, seconds: dict[str, float]) -> Iterator[None]:
    """Time a phase, and turn whatever goes wrong in it into a ModelUnreadable of one line."""
    began = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except ModelUnreadable as error:
        raise ModelUnreadable(f"{folder}: {name}: {error}") from None
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:LINE]
        raise ModelUnreadable(f"{folder}: {name}: {reason or type(error).__name__}") from error
    seconds[name] = time.perf_counter() - began
