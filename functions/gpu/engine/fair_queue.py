"""Who begins next: first come first served among the sequences of one owner, equal turns among owners.

The next turn is the owner's with the fewest running sequences; of several, the one whose last turn is
longest ago. A flood of one owner so delays others by no more than the turn that is being served.
"""

from bisect import insort
from collections import Counter
from itertools import count

from functions.gpu.engine.sequence import Sequence

REMEMBERED = 4096  # owners whose last turn is known; that of others is longer ago


class FairQueue:
    """Sequences that wait, by owner."""

    def __init__(self) -> None:
        self._waiting: dict[str, list[Sequence]] = {}
        # Of owners that wait or not, the longest ago first: who is away for a moment comes back to its place.
        self._turns: dict[str, int] = {}
        self._turn = count(1)
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def add(self, sequence: Sequence) -> None:
        """Take a sequence in, at its place by arrival: one that was preempted stands before later ones."""
        own = self._waiting.setdefault(sequence.owner, [])
        insort(own, sequence, key=lambda one: one.order)
        self._length += 1

    def next(self, running: Counter[str]) -> Sequence | None:
        """Whose turn it is. It stays in the queue until it is removed."""
        if not self._waiting:
            return None
        turns = self._turns
        owner = min(self._waiting, key=lambda one: (running[one], turns.get(one, 0), self._waiting[one][0].order))
        return self._waiting[owner][0]

    def begin(self, sequence: Sequence) -> None:
        """Remove a sequence whose turn it is."""
        self._turns.pop(sequence.owner, None)
        self._turns[sequence.owner] = next(self._turn)
        if len(self._turns) > REMEMBERED:
            del self._turns[next(iter(self._turns))]
        self.remove(sequence)

    def remove(self, sequence: Sequence) -> bool:
        """Remove a sequence; whether it was there."""
        own = self._waiting.get(sequence.owner, [])
        if sequence not in own:
            return False
        own.remove(sequence)
        self._length -= 1
        if not own:
            del self._waiting[sequence.owner]
        return True

    def sequences(self) -> list[Sequence]:
        """All that wait."""
        return [sequence for own in self._waiting.values() for sequence in own]
