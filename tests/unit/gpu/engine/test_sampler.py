"""Picking tokens: greedy, nucleus, seeds, and logits that are no numbers."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.protocol import EngineError, Sampling
from functions.gpu.engine.sampler import LIKELY, Sampler

LOGITS = torch.tensor([0.0, 3.0, 1.0, 2.0, -math.inf])


def draw(logits: torch.Tensor, count: int, **sampling: float) -> list[int]:
    sampler = Sampler(Sampling(max_tokens=count, seed=int(sampling.pop("seed", 7)), **sampling))  # type: ignore[arg-type]
    return [sampler.pick(logits) for _ in range(count)]


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"temperature": 1e-300}, {"top_p": 0.0}])
def test_greedy(sampling: dict[str, float]) -> None:
    assert draw(LOGITS, 20, **sampling) == [1] * 20


def test_a_hot_enough_draw_finds_every_token_that_is_possible() -> None:
    assert set(draw(LOGITS, 500, temperature=50.0)) == {0, 1, 2, 3}


@given(
    st.lists(st.floats(-8, 8, width=32), min_size=1, max_size=30, unique=True),
    st.floats(0, 1),
    st.integers(0, 2**64),
)
def test_nucleus_never_leaves_the_smallest_set_that_reaches_top_p(logits: list[float], top_p: float, seed: int) -> None:
    shares = torch.softmax(torch.tensor(logits), dim=0).double()
    order = shares.argsort(descending=True).tolist()
    nucleus: list[int] = []
    while not nucleus or (sum(float(shares[i]) for i in nucleus) < top_p - 1e-6 and len(nucleus) < len(order)):
        nucleus.append(order[len(nucleus)])
    edge = order[len(nucleus) : len(nucleus) + 1]  # rounding may decide about one more
    assert set(draw(torch.tensor(logits), 30, top_p=top_p, seed=seed)) <= {*nucleus, *edge}


def test_nucleus_larger_than_the_first_look_is_exact() -> None:
    size = LIKELY * 4
    drawn = draw(torch.zeros(size), 3000, top_p=0.5)
    assert LIKELY < len(set(drawn)) <= size // 2


def test_shares_follow_the_temperature() -> None:
    drawn = draw(torch.tensor([0.0, math.log(3.0)]), 4000, temperature=1.0)
    assert 0.70 < sum(drawn) / len(drawn) < 0.80
    cooler = draw(torch.tensor([0.0, math.log(3.0)]), 4000, temperature=0.5)
    assert 0.87 < sum(cooler) / len(cooler) < 0.93


@pytest.mark.parametrize("seed", [0, 5, -5, 2**63, -(2**63)])
def test_a_seed_decides_whatever_others_draw(seed: int) -> None:
    sampling = Sampling(max_tokens=50, temperature=2.0, seed=seed)
    alone, beside, neighbour = Sampler(sampling), Sampler(sampling), Sampler(Sampling(max_tokens=50, seed=9))
    first = [alone.pick(LOGITS) for _ in range(50)]
    torch.manual_seed(1)
    second = [(neighbour.pick(LOGITS), beside.pick(LOGITS))[1] for _ in range(50)]
    assert first == second


def test_no_seed_draws_a_fresh_one() -> None:
    sampling = Sampling(max_tokens=50, temperature=5.0)
    answers = {tuple(map(Sampler(sampling).pick, [LOGITS] * 50)) for _ in range(4)}
    assert len(answers) == 4


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_no_numbers_are_an_error(bad: float, temperature: float) -> None:
    with pytest.raises(EngineError, match="not numbers"):
        Sampler(Sampling(max_tokens=1, temperature=temperature)).pick(torch.tensor([0.0, bad, 1.0]))


def test_impossible_logits_everywhere_are_an_error() -> None:
    with pytest.raises(EngineError):
        Sampler(Sampling(max_tokens=1)).pick(torch.full((4,), -math.inf))


@pytest.mark.parametrize(
    "values",
    [
        {"max_tokens": 0},
        {"max_tokens": 1, "temperature": -1.0},
        {"max_tokens": 1, "temperature": math.nan},
        {"max_tokens": 1, "top_p": 1.1},
        {"max_tokens": 1, "stop": ("",)},
    ],
)
def test_meaningless_sampling_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"max_tokens|out of range|empty"):
        Sampling(**values)  # type: ignore[arg-type]
