"""A row among others: the same as alone, whether it stayed, was preempted, or took another's place."""

from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.gpu.engine.protocol import EngineError
from functions.gpu.engine.sampler import Picked, Sampler
from functions.gpu.engine.sequence import Sequence
from tests.unit.gpu.engine.reference_sampling import bitmask, row
from tests.unit.gpu.engine.test_sampler import SIZE, situations

PENALTIES: dict[str, Any] = {"presence_penalty": 0.7, "frequency_penalty": 0.3, "repetition_penalty": 1.3}


def table(seed: int, rows: int, size: int = SIZE, scale: float = 2.0) -> Any:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * scale


def widened(situation: dict[str, Any], size: int) -> dict[str, Any]:
    """The same for a larger vocabulary, whose further tokens may all come."""
    if situation["mask"] is None:
        return situation
    allowed = [bool(int(situation["mask"][token // 32]) >> (token % 32) & 1) for token in range(SIZE)]
    return {**situation, "mask": bitmask(allowed + [True] * (size - SIZE))}


@settings(max_examples=60)
@given(
    situations(),
    st.lists(situations(), min_size=1, max_size=3),
    st.integers(0, 15),
    st.integers(0, 2**32),
    st.sampled_from([(SIZE, 2.0), (700, 0.1), (1500, 3.0)]),
)
def test_neighbours_change_nothing(
    own: dict[str, Any], others: list[dict[str, Any]], place: int, seed: int, shape: tuple[int, float]
) -> None:
    size, scale = shape
    logits = table(seed, 16, size, scale)
    logits[place - 1] = torch.nan
    kinds = [own if other == place else others[other % len(others)] for other in range(16)]
    together = [row(**widened(kind, size), random=Random(seed + other)) for other, kind in enumerate(kinds)]
    alone = row(**widened(own, size), random=Random(seed + place))
    among = Sampler(size, "cpu").pick(logits, together)
    assert isinstance(among[place - 1], EngineError)
    assert [among[place]] == Sampler(size, "cpu").pick(logits[place : place + 1], [alone])
    assert together[place].random.getstate() == alone.random.getstate()


@pytest.mark.parametrize("size", [5, 513, 16_387, 151_936])
@pytest.mark.parametrize("options", [{}, {"top_p": 0.95}, {"top_k": 50, **PENALTIES}], ids=str)
def test_neighbours_change_nothing_in_a_vocabulary_of_any_size(size: int, options: dict[str, Any]) -> None:
    logits = table(11, 3, size, 3.0)
    rows = [row(**options, random=Random(seed), logprobs=3) for seed in range(3)]
    again = [row(**options, random=Random(seed), logprobs=3) for seed in range(3)]
    among = Sampler(size, "cpu").pick(logits, rows)
    assert among == [Sampler(size, "cpu").pick(logits[i : i + 1], [again[i]])[0] for i in range(3)]


def extend(sampler: Sampler, rows: list[Sequence], steps: range) -> None:
    """Let rows grow, on logits that are a function of the step."""
    for step in steps:
        for one, outcome in zip(rows, sampler.pick(table(step, 1).expand(len(rows), -1), rows), strict=True):
            assert isinstance(outcome, Picked)
            one.output.append(outcome.token)


def penalised(seed: int) -> Sequence:
    return row([1, 2, 2], random=Random(seed), top_k=12, **PENALTIES)


def test_a_row_that_was_forgotten_and_comes_back_is_as_if_it_stayed() -> None:
    stayed, moved, resumed = penalised(1), penalised(1), penalised(1)
    extend(Sampler(SIZE, "cpu"), [stayed], range(40))
    sampler = Sampler(SIZE, "cpu")
    extend(sampler, [moved, resumed], range(15))
    sampler.forget(resumed)
    extend(sampler, [penalised(2), moved], range(15, 40))  # takes the place that is free
    extend(Sampler(SIZE, "cpu"), [resumed], range(15, 40))
    assert len(set(stayed.output)) > 5
    assert stayed.output == moved.output == resumed.output


def test_a_row_that_pauses_for_some_steps_is_counted_on() -> None:
    alone, paused, other = penalised(3), penalised(3), penalised(4)
    extend(Sampler(SIZE, "cpu"), [alone], range(20))
    sampler = Sampler(SIZE, "cpu")
    extend(sampler, [other, paused], range(10))
    extend(sampler, [other], range(30, 35))
    extend(sampler, [paused, other], range(10, 20))
    assert alone.output == paused.output


def test_only_penalised_rows_are_held_and_none_that_is_forgotten() -> None:
    sampler = Sampler(SIZE, "cpu")
    rows = [row(), row(temperature=0.0), *(penalised(seed) for seed in range(9))]
    extend(sampler, rows, range(2))
    assert len(sampler._penalties._places) == 9
    for one in rows:
        sampler.forget(one)
    assert len(sampler._penalties._places) == len(sampler._penalties._taken) == len(sampler._penalties._factors) == 0


@given(st.lists(st.tuples(st.sampled_from(["go", "forget", "new"]), st.integers(0, 5)), max_size=30))
def test_whoever_comes_and_goes_each_row_is_penalised_for_its_own_words(happenings: list[tuple[str, int]]) -> None:
    sampler, rows = Sampler(SIZE, "cpu"), [row([1], temperature=0.0, **PENALTIES) for _ in range(6)]
    for step, (what, which) in enumerate(happenings):
        if what == "new":
            sampler.forget(rows[which])
            rows[which] = row([which], temperature=0.0, **PENALTIES)
        elif what == "forget":
            sampler.forget(rows[which])
        else:
            group = rows[which:]
            logits = table(step, len(group))
            outcomes = sampler.pick(logits, group)
            assert outcomes == Sampler(SIZE, "cpu").pick(logits, group)
            for one, outcome in zip(group, outcomes, strict=True):
                assert isinstance(outcome, Picked)
                one.output.append(outcome.token)
