"""What the GPU seconds of a million requests cost at Modal.

How many tokens a container writes a second, all its answers together, is assumed, not measured: put in your own, from
`/metrics` under your load.
"""

from dataclasses import dataclass

from benchmarks.cost import prices
from benchmarks.cost.edge import MILLION, Stream

BUSY = 0.5  # of the seconds that containers are paid for, how many they write in
CORES = 4
MEMORY_GIB = 16


@dataclass(frozen=True, slots=True)
class Container:
    """A container with one GPU, and the tokens a second that it is assumed to write."""

    gpu: str
    tokens_per_s: int

    @property
    def second(self) -> float:
        """Dollars a second: the GPU, cores and memory."""
        return prices.GPU_S[self.gpu] + CORES * prices.CORE_S + MEMORY_GIB * prices.GIB_S

    @property
    def million_tokens(self) -> float:
        """Dollars a million tokens."""
        return MILLION / self.tokens_per_s / BUSY * self.second

    def million_requests(self, stream: Stream) -> float:
        """Dollars a million such answers; prompts are not counted."""
        return stream.tokens * self.million_tokens


CONTAINERS = (Container("L4", 300), Container("A10", 500), Container("H100", 4_000))
