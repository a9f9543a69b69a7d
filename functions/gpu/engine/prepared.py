"""An engine between its two halves: read into main memory, and started once its device is there."""

from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.loader import place, read_early
from functions.gpu.engine.options import EngineOptions


class PreparedEngine:
    """A model in memory. Starting takes it away: there is one engine of it."""

    def __init__(self, options: EngineOptions, *, imported_s: float) -> None:
        self._options = options
        self._read = read_early(options)
        self._read.load_seconds["imports"] = imported_s

    def start(self) -> ContinuousEngine:
        """The engine, on its device; blocks for seconds. Raises ModelUnreadable."""
        return ContinuousEngine(place(self._read, self._options), self._options)
