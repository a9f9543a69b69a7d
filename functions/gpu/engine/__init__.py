"""The engine: one loaded model, token ids in, text out. It knows nothing of HTTP, keys or money.

Importing this package is light: torch and transformers (seconds) are imported by `load_engine` and
`prepare_engine`, so that a process can bind its port and say that it is starting before it pays for them.
"""

import time
from pathlib import Path
from typing import TYPE_CHECKING

from functions.gpu.engine.figures import Figures, Histogram
from functions.gpu.engine.importing import importing
from functions.gpu.engine.options import EngineOptions, Pooling, PrefixCache, Quantization
from functions.gpu.engine.protocol import (
    Candidate,
    Delta,
    Engine,
    EngineError,
    Event,
    Finished,
    FinishReason,
    Grammar,
    GrammarKind,
    GrammarSpec,
    InvalidGrammar,
    InvalidPrompt,
    ModelUnreadable,
    Prefilled,
    PromptTooLong,
    QueueFull,
    Sampling,
    TokenLogprobs,
)

if TYPE_CHECKING:
    from functions.gpu.engine.engine import ContinuousEngine
    from functions.gpu.engine.prepared import PreparedEngine

__all__ = [
    "Candidate",
    "Delta",
    "Engine",
    "EngineError",
    "EngineOptions",
    "Event",
    "Figures",
    "FinishReason",
    "Finished",
    "Grammar",
    "GrammarKind",
    "GrammarSpec",
    "Histogram",
    "InvalidGrammar",
    "InvalidPrompt",
    "ModelUnreadable",
    "Pooling",
    "Prefilled",
    "PrefixCache",
    "PromptTooLong",
    "Quantization",
    "QueueFull",
    "Sampling",
    "TokenLogprobs",
    "load_engine",
    "prepare_engine",
    "resolve_model",
]


def load_engine(options: EngineOptions) -> "ContinuousEngine":
    """Load a folder and start an engine on it; blocks for seconds, so call it in a thread.

    The engine's `load_seconds` says where the time went. Raises ModelUnreadable.
    """
    return _prepared(options, early=False).start()


def prepare_engine(options: EngineOptions) -> "PreparedEngine":
    """The first half of `load_engine`, without the device, which `options` must name: all is read into main memory.

    Nothing runs and nothing is open afterwards, so the process may be put to sleep, and woken elsewhere, with that
    device (prepared.py). Raises ModelUnreadable, and ValueError where no device is named.
    """
    return _prepared(options, early=True)


def _prepared(options: EngineOptions, *, early: bool) -> "PreparedEngine":
    began = time.perf_counter()
    with importing(early=early):
        from functions.gpu.engine.prepared import PreparedEngine  # noqa: PLC0415  (see the module's docstring)

        return PreparedEngine(options, early=early, imported_s=time.perf_counter() - began)


def resolve_model(source: str, revision: str | None, *, cache: Path | None = None, offline: bool = False) -> Path:
    """The folder of a model: itself, or a pinned commit of a hub repository (hub.py). Raises ModelUnreadable."""
    from functions.gpu.engine.hub import resolve  # noqa: PLC0415  (see the module's docstring)

    return resolve(source, revision, cache=cache, offline=offline)
