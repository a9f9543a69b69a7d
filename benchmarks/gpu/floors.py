"""The least that a decoding step can take: by the bytes it must read, and by the operations it must do."""

from dataclasses import dataclass
from typing import Any

from benchmarks.engine.shapes import Shape
from benchmarks.gpu.ceilings import Ceilings
from benchmarks.gpu.lines import Line


@dataclass(frozen=True, slots=True)
class Floors:
    """Of one model on one device."""

    model: Any
    shape: Shape
    ceilings: Ceilings

    def beside(self, rows: int, step: float, context: float, phases: dict[str, float]) -> Line:
        """A step's time beside both floors, in milliseconds. `context` is the tokens of all rows together.

        Read: every weight once, but of the embedding only some rows; the keys and values of every token.
        Done: a multiplication and an addition for each of these weights and each row; and the same twice, for
        queries and for values, of every head's every dimension with every token.
        """
        shape, weight = self.shape, self.model.get_input_embeddings().weight
        numbers = sum(tensor.numel() for tensor in self.model.parameters())
        if not shape.tied:
            numbers -= weight.numel()
        read = (numbers + shape.kv_numbers * context) * weight.element_size()
        done = 2 * numbers * rows + 4 * shape.layers * shape.heads * shape.head_dim * context
        by_bytes, by_operations = read / self.ceilings.bandwidth, done / self.ceilings.operations
        return {
            "rows": rows,
            "context": context / rows,
            "step_ms": step * 1_000,
            "floor_by_bytes_ms": by_bytes * 1_000,
            "floor_by_operations_ms": by_operations * 1_000,
            "times_the_floor": step / max(by_bytes, by_operations),
            "phases_ms": {name: seconds * 1_000 for name, seconds in phases.items()},
        }
