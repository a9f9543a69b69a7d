"""A number that was measured several times: its median, and how far it was spread.

The unit is whoever's who measured. With few rounds a standard deviation says little, so the spread is
simply the lowest and the highest.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of the rounds, the lowest, and the highest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, rounds: Iterable[float]) -> "Spread":
        """Of one number a round. ValueError where there was no round."""
        values = sorted(rounds)
        if not values:
            raise ValueError("nothing was measured")
        return cls(median(values), values[0], values[-1])

    @classmethod
    def of_ratios(cls, rounds: Sequence[float], peer: Sequence[float]) -> "Spread":
        """How many times the peer's, round by round: what disturbed a round is in both of its numbers."""
        return cls.of(mine / its for mine, its in zip(rounds, peer, strict=True))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of all are not above. ValueError where there is none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    rank = -(-len(ordered) * percent // 100)
    return ordered[max(int(rank) - 1, 0)]
