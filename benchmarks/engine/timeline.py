"""When a crowd's tokens arrived, and what follows from it: tokens a second, waits for the first and the next."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from benchmarks.spread import percentile

MEASURES = ("tokens_per_s", "first_p50_ms", "first_p99_ms", "between_p50_ms", "between_p99_ms")


@dataclass(frozen=True, slots=True)
class Timeline:
    """One crowd that came at once. Of each request, when something of it arrived; times are perf_counter's."""

    begun: float
    arrivals: list[list[float]]

    @property
    def seconds(self) -> float:
        """From the arrival of the crowd to its last token."""
        return max(times[-1] for times in self.arrivals) - self.begun


@dataclass(slots=True)
class Served:
    """Crowds that came one after another."""

    tokens: int = 0
    seconds: float = 0.0
    first: list[float] = field(default_factory=list)
    between: list[float] = field(default_factory=list)

    def add(self, timeline: Timeline, tokens: int) -> None:
        """One more crowd, which was given so many new tokens."""
        self.tokens += tokens
        self.seconds += timeline.seconds
        self.first += [times[0] - timeline.begun for times in timeline.arrivals]
        self.between += gaps(timeline.arrivals)

    def measures(self) -> dict[str, float | None]:
        """Each of MEASURES. Where everything arrives at the end there is nothing between tokens."""
        return {
            "tokens_per_s": self.tokens / self.seconds,
            "first_p50_ms": percentile(self.first, 50) * 1_000,
            "first_p99_ms": percentile(self.first, 99) * 1_000,
            "between_p50_ms": percentile(self.between, 50) * 1_000 if self.between else None,
            "between_p99_ms": percentile(self.between, 99) * 1_000 if self.between else None,
        }


def gaps(arrivals: Iterable[Sequence[float]]) -> list[float]:
    """The times between one arrival and the next of the same request."""
    return [later - earlier for times in arrivals for earlier, later in pairwise(times)]
