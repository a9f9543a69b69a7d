"""Picking tokens: every option against the reference, ties, seeds, and rows that fail alone."""

import math
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import sampler as subject
from functions.gpu.engine.candidates import BLOCK, Wish, draw_among_likeliest
from functions.gpu.engine.protocol import EngineError, Sampling
from functions.gpu.engine.sampler import Picked, Sampler
from functions.gpu.engine.sequence import Sequence
from tests.unit.gpu.engine.reference_sampling import Fixed, bitmask, pick, probabilities, row, scores

SIZE = 40  # not a multiple of 32, as vocabularies are
LOGITS = torch.tensor([0.0, 3.0, 1.0, 2.0, -math.inf])
LAST = math.nextafter(1, 0)  # the largest uniform number

hundredths = st.integers(0, 100).map(lambda number: number / 100)
tokens = st.integers(0, SIZE - 1)
signed = st.integers(-20, 20).map(lambda number: number / 10)
options = st.fixed_dictionaries(
    {},
    optional={
        "temperature": st.integers(2, 60).map(lambda number: number / 20),
        "top_p": hundredths.filter(bool),
        "top_k": st.integers(0, SIZE + 2),
        "min_p": hundredths,
        "presence_penalty": signed,
        "frequency_penalty": signed,
        "repetition_penalty": st.integers(5, 20).map(lambda number: number / 10),
        "logit_bias": st.dictionaries(tokens, st.sampled_from([-100.0, -2.5, 1.5, 100.0]), max_size=5),
        "logprobs": st.integers(0, 20),
        "min_tokens": st.just(10),
        "stop_token_ids": st.frozensets(tokens, max_size=3),
    },
)


@st.composite
def situations(draw: st.DrawFn) -> dict[str, Any]:
    """Options, what was said so far, and what may come."""
    said = st.lists(tokens, max_size=12)
    allowed = draw(st.none() | st.integers(0, 2**SIZE - 1).filter(lambda bits: bits.bit_count() > 8))
    return {
        **draw(options),
        "prompt": draw(said),
        "output": draw(said),
        "end_ids": draw(st.frozensets(tokens, max_size=2)),
        "mask": None if allowed is None else bitmask([bool(allowed >> token & 1) for token in range(SIZE)]),
    }


def gaussian(seed: int, size: int = SIZE, scale: float = 2.0) -> Any:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed)) * scale


def layout(shares: Any, sampling: Sampling) -> list[tuple[int, float, float]]:
    """The tokens that may come, each with the uniform numbers that it owns: by id, or the likeliest first."""
    cut = sampling.top_k or sampling.top_p < 1 or sampling.min_p
    order = shares.argsort(descending=True, stable=True) if cut else torch.arange(len(shares))
    ends = shares[order].cumsum(0)
    places = zip(order.tolist(), [0.0, *ends.tolist()[:-1]], ends.tolist(), strict=True)
    return [(token, start, end) for token, start, end in places if end > start]


@given(situations(), st.integers(0, 2**32))
def test_every_token_owns_its_share_of_the_uniform_numbers(situation: dict[str, Any], seed: int) -> None:
    logits = gaussian(seed)
    shares = probabilities(logits, row(**situation))
    margin = 2e-5
    owned = [
        (token, uniform)
        for token, start, end in layout(shares, row(**situation).sampling)
        if end - start > 2 * margin
        for uniform in (start + margin, end - margin)
    ]
    picks = pick(logits, *(row(**situation, random=Fixed(uniform)) for _, uniform in owned))
    assert [found.token for found in picks] == [token for token, _ in owned]


@given(situations(), st.integers(0, 2**32), st.sampled_from([0.0, 5e-324, 0.5, LAST]))
def test_no_uniform_number_leaves_the_tokens_that_may_come(
    situation: dict[str, Any], seed: int, uniform: float
) -> None:
    logits = gaussian(seed)
    (found,) = pick(logits, row(**situation, random=Fixed(uniform)))
    assert probabilities(logits, row(**situation))[found.token] > 0


@given(situations(), st.integers(0, 2**32))
def test_greedy_takes_the_largest_of_the_changed_logits(situation: dict[str, Any], seed: int) -> None:
    logits = gaussian(seed)
    (found,) = pick(logits, row(**{**situation, "temperature": 0.0}))
    expected = scores(logits, row(**situation))
    assert expected[found.token] >= expected.max() - 1e-5


@given(situations(), st.integers(0, 2**32))
def test_probabilities_are_the_models_own(situation: dict[str, Any], seed: int) -> None:
    logits = gaussian(seed)
    (found,) = pick(logits, row(**situation))
    wanted = situation.get("logprobs")
    if wanted is None:
        assert (found.logprob, found.top) == (None, ())
        return
    expected = torch.log_softmax(logits.double(), dim=0)
    assert found.logprob == pytest.approx(float(expected[found.token]), abs=1e-4)
    assert [token for token, _ in found.top] == expected.argsort(descending=True).tolist()[:wanted]
    assert [value for _, value in found.top] == pytest.approx(
        [float(expected[token]) for token, _ in found.top], abs=1e-4
    )


@pytest.mark.parametrize("sampling", [{"temperature": 0.0}, {"temperature": 1e-300}, {"top_p": 0.0}])
def test_greedy_draws_no_number(sampling: dict[str, Any]) -> None:
    random = Fixed()
    assert [found.token for found in pick(LOGITS, row(**sampling, random=random))] == [1]
    assert random.asked == 0


@pytest.mark.parametrize(
    "sampling", [{}, {"top_k": 1}, {"top_p": 0.9}, {"top_p": 0.5}, {"min_p": 0.01}, {"top_k": 300}], ids=str
)
def test_a_sampled_token_costs_one_number_however_far_is_looked(sampling: dict[str, Any]) -> None:
    logits, random = gaussian(3, size=30_000, scale=0.1), Fixed(0.7)
    pick(logits, row(temperature=0.0), row(**sampling, random=random), row(top_p=0.99))
    assert random.asked == 1


@pytest.mark.parametrize("seed", [0, 5, -5, 2**63])
def test_a_seed_decides(seed: int) -> None:
    answers = []
    for random in (Random(seed), Random(seed)):
        rows = [row(random=random, temperature=3.0) for _ in range(50)]
        answers.append([found.token for found in pick(LOGITS, *rows)])
    assert answers[0] == answers[1]
    assert len(set(answers[0])) > 1


@pytest.mark.parametrize(
    ("sampling", "expected"),
    [
        ({"temperature": 0.0}, {0}),
        ({"top_k": 3}, {0, 1, 2}),
        ({"top_p": 0.5}, {0, 1, 2, 3}),
        ({"min_p": 1.0}, set(range(8))),
    ],
    ids=str,
)
def test_of_equals_the_lower_ids_stay(sampling: dict[str, Any], expected: set[int]) -> None:
    uniforms = [place / 64 for place in range(64)]
    found = pick(torch.zeros(8), *(row(**sampling, random=Fixed(uniform)) for uniform in uniforms))
    assert {outcome.token for outcome in found} == expected


@given(
    st.lists(st.integers(-3, 3), min_size=2, max_size=60),
    st.fixed_dictionaries({}, optional={"top_p": hundredths, "top_k": st.integers(0, 61), "min_p": hundredths}),
)
def test_however_few_are_looked_at_first_the_token_is_the_same(logits: list[int], sampling: dict[str, Any]) -> None:
    table = torch.tensor(logits, dtype=torch.float32)
    rows = [row(**sampling, random=Fixed(place / 16)) for place in range(16)]
    whole = pick(table, *rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "LIKELY", 1)
        patch.setattr(subject, "FURTHER", 2)
        assert pick(table, *rows) == whole


def test_a_nucleus_larger_than_the_first_look_is_exact() -> None:
    size = subject.LIKELY * 4
    uniforms = [(place + 0.5) / size for place in range(size)]
    found = pick(torch.zeros(size), *(row(top_p=0.5, random=Fixed(uniform)) for uniform in uniforms))
    assert {outcome.token for outcome in found} == set(range(size // 2))


def test_a_few_tokens_that_may_come_are_sure_at_the_first_look() -> None:
    logits = torch.full((1, 50), -math.inf)
    logits[0, 7:10] = torch.tensor([1.0, 0.0, 2.0])
    wishes = torch.tensor([Wish.of(Sampling(max_tokens=1, top_k=4), 0.5)], dtype=torch.float64)
    token, sure = draw_among_likeliest(logits, logits.amax(1), wishes, look=4)
    assert (token.tolist(), sure.tolist()) == ([9], [True])


@pytest.mark.parametrize("steps", [*range(-3, 4), None])
def test_no_rounding_where_blocks_meet_gives_a_token_that_cannot_come(steps: int | None) -> None:
    logits = gaussian(1, size=100 * 3 * BLOCK).double().view(100, 3 * BLOCK)
    logits[:, : BLOCK // 2] = logits[:, BLOCK : BLOCK + 9] = logits[:, 2 * BLOCK : 2 * BLOCK + 9] = -math.inf
    logits[:, -9:] = logits[:, 2 * BLOCK - 9 : 2 * BLOCK] = -math.inf
    edges = torch.softmax(logits, dim=1).view(100, 3, BLOCK).sum(2).cumsum(1)[:, 1].tolist()
    uniforms = [LAST if steps is None else edge + steps * math.ulp(edge) for edge in edges]
    outcomes = Sampler(3 * BLOCK, "cpu").pick(logits, [row(random=Fixed(uniform)) for uniform in uniforms])
    for place, outcome in enumerate(outcomes):
        assert isinstance(outcome, Picked)
        assert logits[place, outcome.token] > -math.inf


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_logits_of_every_precision_are_read_and_left_as_they_are(dtype: Any) -> None:
    logits = LOGITS.to(dtype)
    (found,) = pick(logits, row([1], [1], temperature=0.0, presence_penalty=2.0, logprobs=2))
    assert found.token == 3
    assert found.logprob == pytest.approx(2 - math.log(1 + math.e + math.e**2 + math.e**3))
    assert torch.equal(logits, LOGITS.to(dtype))


def test_an_answer_may_not_end_before_its_least_length() -> None:
    ended: dict[str, Any] = {
        "end_ids": frozenset({1, 99}),
        "stop_token_ids": frozenset({3}),
        "min_tokens": 2,
        "temperature": 0.0,
    }
    assert [found.token for found in pick(LOGITS, row(output=[0], **ended), row(output=[0, 0], **ended))] == [2, 1]


def failing() -> list[tuple[str, Any, Sequence]]:
    nan, infinite, nothing = LOGITS.clone(), LOGITS.clone(), torch.full((5,), -math.inf)
    nan[2], infinite[2] = math.nan, math.inf
    masked = bitmask([False, False, True, False, False])
    return [
        ("not numbers", nan, row()),
        ("not numbers", nan, row(temperature=0.0, mask=bitmask([True, True, False, False, False]))),
        ("not numbers", infinite, row(top_k=2)),
        ("not numbers", nothing, row(logprobs=2)),
        ("no token may come", LOGITS, row(mask=bitmask([False] * 5))),
        ("no token may come", LOGITS, row(mask=bitmask([False] * 4 + [True]), top_p=0.5)),
        ("no token may come", LOGITS, row(mask=masked, min_tokens=1, stop_token_ids=frozenset({2}))),
        ("make its logits no numbers", LOGITS, row(logit_bias={0: 1e300}, top_k=3)),
        ("logit_bias has a token outside", LOGITS, row(logit_bias={5: 1.0})),
        ("logit_bias has a token outside", LOGITS, row(logit_bias={-1: 1.0})),
        ("stop_token_ids has a token outside", LOGITS, row(stop_token_ids=frozenset({5}))),
        ("sequence is outside", LOGITS, row([5], repetition_penalty=1.1)),
        ("sequence is outside", LOGITS, row([], [-1], presence_penalty=1.0)),
        ("not 1 words", LOGITS, row(mask=torch.zeros(2, dtype=torch.int32))),
    ]


@pytest.mark.parametrize(
    ("message", "logits", "broken"), failing(), ids=lambda value: value if isinstance(value, str) else ""
)
def test_a_row_that_fails_does_so_alone(message: str, logits: Any, broken: Sequence) -> None:
    table = torch.stack([LOGITS, logits, LOGITS, LOGITS])
    rows = [row(temperature=0.0), broken, row(top_k=1, logprobs=1), row([1], presence_penalty=0.5, top_k=1)]
    first, failed, *others = Sampler(5, "cpu").pick(table, rows)
    assert isinstance(failed, EngineError)
    assert message in str(failed)
    assert [outcome.token for outcome in (first, *others) if isinstance(outcome, Picked)] == [1, 1, 1]


def test_no_rows_give_nothing() -> None:
    assert Sampler(5, "cpu").pick(torch.empty(0, 5), []) == []


@pytest.mark.parametrize(
    "values",
    [
        {"max_tokens": -1},
        {"max_tokens": 1, "temperature": -1.0},
        {"max_tokens": 1, "temperature": math.nan},
        {"max_tokens": 1, "top_p": 1.1},
        {"max_tokens": 1, "top_k": -1},
        {"max_tokens": 1, "n": 9},
        {"max_tokens": 1, "repetition_penalty": 0.0},
        {"max_tokens": 1, "logit_bias": {0: math.inf}},
        {"max_tokens": 1, "prompt_logprobs": 21},
        {"max_tokens": 1, "min_tokens": 2},
        {"max_tokens": 1, "stop": ("",)},
    ],
)
def test_meaningless_sampling_is_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"not at least|out of range|not between|not positive|not finite|empty"):
        Sampling(**values)
