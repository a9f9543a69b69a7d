"""What sequences have said so far, and what that does to their logits.

Holds tables on the device, with a row for each penalised sequence and none for others. A row is brought up to date
from the sequence's own tokens whenever it is needed, and from counts that the host keeps, so that a sequence which
was preempted, or comes with half an answer, gets the numbers of one that never left.
"""

from collections import Counter
from collections.abc import Sequence as Rows
from dataclasses import dataclass, field
from typing import Any

import torch

from functions.gpu.engine.protocol import EngineError, Sampling
from functions.gpu.engine.sequence import Sequence


@dataclass(slots=True)
class _Place:
    """A sequence's row in the tables, and what it was made from."""

    slot: int
    said: Counter[int] = field(default_factory=Counter)  # tokens of the answer
    length: int = 0  # of the answer, when it was counted
    read: bool = False  # whether the prompt is in

    def fresh(self, row: Sequence) -> tuple[list[int], list[int]]:
        """Tokens of the prompt and of the answer that are not in yet."""
        return [] if self.read else row.prompt, row.output[self.length :]


class Penalties:
    """Repetition, presence and frequency penalties of the sequences of one engine."""

    def __init__(self, vocabulary_size: int, device: Any) -> None:
        self._size = vocabulary_size
        self._device = device
        self._places: dict[Sequence, _Place] = {}
        self._clear()

    def check(self, row: Sequence) -> None:
        """Raises EngineError where a token that would be counted is outside the vocabulary."""
        if not penalised(row.sampling):
            return
        for tokens in (self._places.get(row) or _Place(-1)).fresh(row):
            if tokens and not (min(tokens) >= 0 and max(tokens) < self._size):
                raise EngineError("a token of the sequence is outside the vocabulary")

    def apply(self, scores: Any, rows: Rows[Sequence]) -> None:
        """Change the scores [R, V] of the penalised rows, in place; each was checked.

        The repetition penalty is CTRL's (Keskar et al., 2019) as transformers has it; the others are as in
        OpenAI's reference: `count * frequency_penalty + (count > 0) * presence_penalty` is subtracted.
        """
        places = [place for place, row in enumerate(rows) if penalised(row.sampling)]
        if not places:
            return
        chosen = [rows[place] for place in places]
        self._bring_up(chosen)
        index = self._sent(places, torch.long)
        slots = self._sent([self._places[row].slot for row in chosen], torch.long)
        values = scores.index_select(0, index)
        if any(row.sampling.repetition_penalty != 1 for row in chosen):
            factors = self._factors.index_select(0, slots)
            values = values.clamp(min=0).div_(factors).add_(values.clamp(max=0).mul_(factors))  # one of them is 0
        scores.index_copy_(0, index, values.sub_(self._taken.index_select(0, slots)))

    def forget(self, row: Sequence) -> None:
        """Let go of what a sequence said, if it is held."""
        place = self._places.pop(row, None)
        if place is not None:
            self._free.append(place.slot)
        if not self._places:
            self._clear()

    def _clear(self) -> None:
        self._free: list[int] = []
        self._taken = torch.zeros((0, self._size), device=self._device)  # presence and frequency, in logits
        self._factors = torch.ones((0, self._size), device=self._device)  # the repetition penalty, where it acts

    def _bring_up(self, rows: Rows[Sequence]) -> None:
        """Enter what these sequences said since they were here last."""
        taken: list[tuple[int, int, float]] = []
        factors: list[tuple[int, int, float]] = []
        for row in rows:
            place, sampling = self._place(row), row.sampling
            asked, said = place.fresh(row)
            place.said.update(said)
            place.read, place.length = True, len(row.output)
            taken += ((place.slot, token, _taken(sampling, place.said[token])) for token in set(said))
            if sampling.repetition_penalty != 1:
                factors += ((place.slot, token, sampling.repetition_penalty) for token in {*asked, *said})
        self._enter(self._taken, taken)
        self._enter(self._factors, factors)

    def _place(self, row: Sequence) -> _Place:
        if row not in self._places:
            if not self._free:
                self._grow()
            place = self._places[row] = _Place(self._free.pop())
            self._taken[place.slot] = 0
            self._factors[place.slot] = 1
        return self._places[row]

    def _grow(self) -> None:
        """Twice as many rows, so that the tables are copied seldom."""
        held = len(self._taken)
        self._free = list(range(held, max(4, 2 * held)))
        more = self._taken.new_zeros((len(self._free), self._size))  # a row is filled when it is taken
        self._taken, self._factors = torch.cat([self._taken, more]), torch.cat([self._factors, more])

    def _enter(self, table: Any, entries: list[tuple[int, int, float]]) -> None:
        """Write values at (slot, token), each pair once."""
        if entries:
            slots, tokens, values = self._sent(entries, torch.float64).unbind(1)
            table[slots.long(), tokens.long()] = values.to(table.dtype)

    def _sent(self, values: Rows[Any], dtype: Any) -> Any:
        """Numbers of the host, on their way to the device."""
        return torch.tensor(values, dtype=dtype).to(self._device, non_blocking=True)


def penalised(sampling: Sampling) -> bool:
    """Whether any of the three penalties has an effect."""
    return bool(sampling.repetition_penalty != 1 or sampling.presence_penalty or sampling.frequency_penalty)


def _taken(sampling: Sampling, count: int) -> float:
    return count * sampling.frequency_penalty + (count > 0) * sampling.presence_penalty
