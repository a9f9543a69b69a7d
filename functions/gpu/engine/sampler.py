"""Logits to tokens, for a batch whose rows know nothing of each other.

Promises that a row's token and probabilities are the same whatever stands beside it (to the last bit on the CPU;
logits themselves are so in float32 there, and nearly so elsewhere): a sampled row draws one number a token from its
own generator, a greedy one draws none, and a row that fails does so alone. The order in which options act is
Sampling's. Nucleus sampling is exact: the smallest set of the likeliest tokens whose probability reaches `top_p`.

A step costs one pass over the logits where rows are greedy, a few where they are sampled, and one copy from the
device. Only rows whose nucleus is larger than the first look are looked at again.
"""

from collections.abc import Sequence as Rows
from dataclasses import dataclass
from enum import IntEnum
from math import inf, isfinite
from typing import Any

import torch

from functions.gpu.engine import constraints
from functions.gpu.engine.candidates import Wish, draw_among_all, draw_among_likeliest
from functions.gpu.engine.logprobs import measure, read
from functions.gpu.engine.penalties import Penalties, penalised
from functions.gpu.engine.protocol import EngineError, Sampling
from functions.gpu.engine.sequence import Sequence

COLDEST = 1e-5  # below this the division by the temperature leaves float32, and the choice is greedy anyway
LIKELY = 256  # tokens looked at first; nearly every nucleus is smaller
FURTHER = 64  # times as many, each time that these do not decide a row


@dataclass(frozen=True, slots=True)
class Picked:
    """A row's next token, and the model's own probabilities of it and of the likeliest, if it asked for them."""

    token: int
    logprob: float | None  # natural; None where Sampling.logprobs is
    top: tuple[tuple[int, float], ...]  # ids and log-probabilities, likeliest first


class Method(IntEnum):
    """How a row's token is found, in the order in which a block holds its rows."""

    GREEDY = 0
    AMONG_ALL = 1
    AMONG_LIKELIEST = 2

    @classmethod
    def of(cls, sampling: Sampling) -> "Method":
        """The cheapest that serves."""
        if sampling.temperature < COLDEST or sampling.top_p == 0:
            return cls.GREEDY
        cut = sampling.top_k > 0 or sampling.top_p < 1 or sampling.min_p > 0
        return cls.AMONG_LIKELIEST if cut else cls.AMONG_ALL


@dataclass(frozen=True, slots=True)
class _Block:
    """Rows of one step, in the order of their methods."""

    rows: list[Sequence]
    wishes: list[Wish | None]  # None: greedy
    raw: Any  # [R, V], the model's
    scores: Any  # [R, V], as the rows' options changed them; `raw` itself where there are none

    def at(self, places: list[int]) -> "_Block":
        """Some of its rows, in this order."""
        rows, wishes = [self.rows[place] for place in places], [self.wishes[place] for place in places]
        raw = _at(self.raw, places)
        return _Block(rows, wishes, raw, raw if self.scores is self.raw else _at(self.scores, places))


class Sampler:
    """Picks the tokens of one engine. One thread's, inside torch.inference_mode()."""

    def __init__(self, vocabulary_size: int, device: Any) -> None:
        self._size = vocabulary_size
        self._penalties = Penalties(vocabulary_size, device)

    def pick(self, logits: Any, rows: Rows[Sequence]) -> list[Picked | EngineError]:
        """The next token of each row, from its `logits` [R, V]; an EngineError in the place of a row that fails.

        Reads a row's options and tokens, and draws from its generator; changes nothing else. Where it raises, the
        numbers that were drawn are kept for the next call.
        """
        outcomes = self._refused(rows)
        places = [place for place in range(len(rows)) if place not in outcomes]
        places.sort(key=lambda place: Method.of(rows[place].sampling))
        if places:
            block = self._block(_at(logits, places), [rows[place] for place in places])
            outcomes.update(zip(places, _settle(block), strict=True))
            for row in block.rows:
                row.drawn = None
        return [outcomes[place] for place in range(len(rows))]

    def forget(self, row: Sequence) -> None:
        """Let go of what is held for a row that ended or lost its place; one that comes back is counted anew."""
        self._penalties.forget(row)

    def _refused(self, rows: Rows[Sequence]) -> dict[int, Picked | EngineError]:
        """What is wrong with rows, by their places."""
        refused: dict[int, Picked | EngineError] = {}
        for place, row in enumerate(rows):
            try:
                constraints.check(row, self._size)
                self._penalties.check(row)
            except EngineError as error:
                refused[place] = error
        return refused

    def _block(self, logits: Any, rows: list[Sequence]) -> _Block:
        """The rows with their options applied, and a number drawn for each that is sampled."""
        raw = scores = logits if logits.dtype == torch.float64 else logits.float()
        if any(penalised(row.sampling) or constraints.constrained(row) for row in rows):
            scores = raw.clone()
            self._penalties.apply(scores, rows)
            constraints.constrain(scores, rows)
        return _Block(rows, [_wish(row) for row in rows], raw, scores)


def _wish(row: Sequence) -> Wish | None:
    if Method.of(row.sampling) is Method.GREEDY:
        return None
    if row.drawn is None:
        row.drawn = row.random.random()
    return Wish.of(row.sampling, row.drawn)


def _at(table: Any, places: list[int]) -> Any:
    """These rows of a table [R, V]; the table itself where they are all, in order."""
    if places == list(range(len(table))):
        return table
    return table.index_select(0, torch.tensor(places).to(table.device, non_blocking=True))


def _settle(block: _Block) -> list[Picked | EngineError]:
    """The outcome of every row, looking further for those that need it."""
    settled: dict[int, Picked | EngineError] = {}
    left, look = list(range(len(block.rows))), LIKELY
    while left:
        found = zip(left, _outcomes(block.at(left), look), strict=True)
        settled.update((place, outcome) for place, outcome in found if outcome is not None)
        left, look = [place for place in left if place not in settled], look * FURTHER
    return [settled[place] for place in range(len(block.rows))]


def _outcomes(block: _Block, look: int) -> list[Picked | EngineError | None]:
    """The outcome of each row; None where the `look` likeliest tokens do not decide it. Copies from the device once."""
    best = block.scores.amax(-1)  # NaN if anything is
    raw_best = best if block.scores is block.raw else block.raw.amax(-1)
    tokens, decided = _draw(block, best, look)
    report = torch.stack([raw_best.double(), best.double(), tokens.double(), decided.double()], dim=1)
    asked = [place for place, row in enumerate(block.rows) if row.sampling.logprobs is not None]
    alternatives = any(row.sampling.logprobs for row in block.rows)
    if asked:
        scored = measure(_at(block.raw, asked), _at(tokens, asked), alternatives=alternatives)
        values = torch.cat([report.flatten(), scored.flatten()]).tolist()
    else:
        values = report.flatten().tolist()
    width = 4 * len(block.rows)
    numbers = dict(zip(asked, _rows(values[width:], len(asked)), strict=True))
    return [
        _outcome(row, facts, numbers.get(place))
        for place, (row, facts) in enumerate(zip(block.rows, _rows(values[:width], len(block.rows)), strict=True))
    ]


def _rows(values: list[float], count: int) -> list[list[float]]:
    """A flat list as so many equal parts."""
    width = len(values) // max(count, 1)
    return [values[place * width : (place + 1) * width] for place in range(count)]


def _draw(block: _Block, best: Any, look: int) -> tuple[Any, Any]:
    """A token for each row, and whether it is sure; each method takes its stretch of the block."""
    methods = [Method.of(row.sampling) for row in block.rows]
    greedy = methods.count(Method.GREEDY)
    cut = greedy + methods.count(Method.AMONG_ALL)
    scores = block.scores
    wishes = torch.tensor(block.wishes[greedy:], dtype=torch.float64).to(scores.device, non_blocking=True)
    tokens, decided = [], []
    if greedy:
        tokens.append(scores[:greedy].argmax(-1))
    if cut > greedy:
        tokens.append(draw_among_all(scores[greedy:cut], best[greedy:cut], wishes[: cut - greedy]))
    decided.append(torch.ones(cut, dtype=torch.bool, device=scores.device))
    if cut < len(methods):
        likely, sure = draw_among_likeliest(scores[cut:], best[cut:], wishes[cut - greedy :], look)
        tokens.append(likely)
        decided.append(sure)
    return torch.cat(tokens), torch.cat(decided)


def _outcome(row: Sequence, facts: list[float], numbers: list[float] | None) -> Picked | EngineError | None:
    raw_best, best, token, decided = facts
    if not isfinite(raw_best):
        return EngineError("the model gave logits that are not numbers")
    if best == -inf:
        return EngineError("no token may come next")
    if not isfinite(best):
        return EngineError("the options of this request make its logits no numbers")
    if not decided:
        return None
    if numbers is None:
        return Picked(int(token), None, ())
    return Picked(int(token), *read(numbers, row.sampling.logprobs or 0))
