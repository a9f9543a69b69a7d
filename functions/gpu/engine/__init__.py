"""The engine: one loaded model, token ids in, text out. It knows nothing of HTTP, keys or money.

Importing this package is light: torch and transformers (seconds) are imported by `load_engine`, so that a
process can bind its port and say that it is starting before it pays for them.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from functions.gpu.engine.protocol import (
    Delta,
    Engine,
    EngineError,
    Event,
    Finished,
    FinishReason,
    InvalidPrompt,
    ModelUnreadable,
    PromptTooLong,
    QueueFull,
    Sampling,
)

if TYPE_CHECKING:
    from functions.gpu.engine.engine import SequentialEngine

__all__ = [
    "Delta",
    "Engine",
    "EngineError",
    "Event",
    "FinishReason",
    "Finished",
    "InvalidPrompt",
    "ModelUnreadable",
    "PromptTooLong",
    "QueueFull",
    "Sampling",
    "load_engine",
]


def load_engine(
    folder: Path,
    *,
    dtype: str = "auto",
    device: str | None = None,
    threads: int | None = None,
    context_length: int | None = None,
    queue_limit: int = 64,
) -> "SequentialEngine":
    """Load a folder and start an engine on it; blocks for seconds, so call it in a thread.

    `context_length` lowers the model's own. As many as `queue_limit` requests wait behind the one that runs.
    The engine's `load_seconds` says where the time went. Raises ModelUnreadable.
    """
    began = time.perf_counter()
    from functions.gpu.engine.engine import SequentialEngine  # noqa: PLC0415  (see the module's docstring)
    from functions.gpu.engine.loader import load  # noqa: PLC0415

    imported = time.perf_counter() - began
    loaded = load(folder, dtype=dtype, device=device, threads=threads, context_length=context_length)
    loaded.load_seconds["imports"] = imported
    return SequentialEngine(loaded, queue_limit=queue_limit)
