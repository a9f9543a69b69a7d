"""An engine between its two halves: read into memory, and started once its device is there.

What was read early is fit to be put to sleep with its process, and woken elsewhere: all of it is in main memory,
in its final form, no thread of it runs, no process of it and no file is open, and CUDA was not asked for anything,
for what is not there before the sleep CUDA would miss for good. (Threads that torch computes with may idle.)
"""

from functions.gpu.engine.engine import ContinuousEngine, prepare_grammars
from functions.gpu.engine.loader import place, read
from functions.gpu.engine.options import EngineOptions


class PreparedEngine:
    """A model in memory. Starting takes it away: there is one engine of it."""

    def __init__(self, options: EngineOptions, *, early: bool, imported_s: float) -> None:
        if early and options.device is None:
            raise ValueError("device is None: before it is there, nothing but its name says which one it will be")
        self._options = options
        self._read = read(options, early=early)
        self._read.load_seconds["imports"] = imported_s
        self._grammars = prepare_grammars(self._read)

    def start(self) -> ContinuousEngine:
        """The engine, on its device; blocks for seconds. Raises ModelUnreadable."""
        return ContinuousEngine(place(self._read, self._options), self._options, self._grammars)
