"""The model's own probabilities of many tokens."""

import math
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import logprobs as subject
from functions.gpu.engine.logprobs import score
from functions.gpu.engine.protocol import EngineError


def gaussian(seed: int, rows: int, size: int) -> Any:
    return torch.randn(rows, size, generator=torch.Generator().manual_seed(seed)) * 3


@given(st.integers(0, 2**32), st.integers(1, 9), st.integers(1, 40), st.data())
def test_scores_are_the_log_softmax(seed: int, rows: int, size: int, data: st.DataObject) -> None:
    logits = gaussian(seed, rows, size)
    tokens = data.draw(st.lists(st.integers(0, size - 1), min_size=rows, max_size=rows))
    wanted = data.draw(st.lists(st.integers(0, 20), min_size=rows, max_size=rows))
    for place, (logprob, top) in enumerate(score(logits, tokens, wanted)):
        exact = [float(logit) for logit in logits[place]]
        total = math.log(math.fsum(math.exp(logit) for logit in exact))
        assert logprob == pytest.approx(exact[tokens[place]] - total, abs=1e-4)
        best = sorted(range(size), key=lambda token: -exact[token])[: wanted[place]]
        assert [token for token, _ in top] == best
        assert [value for _, value in top] == pytest.approx([exact[token] - total for token in best], abs=1e-4)


@pytest.mark.parametrize("block", [1, 40, 95])
def test_blocks_change_nothing(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    logits, tokens = gaussian(1, 50, 31), [place % 31 for place in range(50)]
    whole = score(logits, tokens, 4)
    monkeypatch.setattr(subject, "BLOCK", block)
    assert score(logits, tokens, 4) == whole


def test_one_number_serves_all_and_none_is_a_number() -> None:
    assert [len(top) for _, top in score(gaussian(2, 3, 30), [0, 1, 2], 2)] == [2, 2, 2]
    assert [top for _, top in score(gaussian(2, 3, 30), [0, 1, 2], 0)] == [(), (), ()]
    assert score(torch.empty(0, 30), [], 5) == []


def test_what_one_row_wants_changes_no_other() -> None:
    logits = torch.zeros(2, 64)  # all equal: who comes first is a matter of order alone
    assert score(logits, [0, 0], [3, 20])[0] == score(logits, [0, 0], [3, 3])[0]


def test_of_equals_the_lower_id_comes_first() -> None:
    ((_, top),) = score(torch.tensor([[1.0, 2.0, 2.0, 1.0]]), [0], 4)
    assert [token for token, _ in top] == [1, 2, 0, 3]


def test_a_token_that_cannot_come_is_no_alternative() -> None:
    ((logprob, top),) = score(torch.tensor([[0.0, -math.inf, 0.0]]), [1], 3)
    assert logprob == -math.inf
    assert [token for token, _ in top] == [0, 2]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_precisions(dtype: Any) -> None:
    ((logprob, _),) = score(torch.zeros(1, 8, dtype=dtype), [3], 1)
    assert logprob == pytest.approx(-math.log(8))


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_logits_that_are_no_numbers_are_an_error(bad: float) -> None:
    with pytest.raises(EngineError, match="not numbers"):
        score(torch.tensor([[0.0, 1.0], [0.0, bad]]), [0, 0], 1)


@pytest.mark.parametrize("token", [-1, 2])
def test_a_token_outside_the_vocabulary_is_an_error(token: int) -> None:
    with pytest.raises(EngineError, match="outside"):
        score(torch.zeros(1, 2), [token], 0)
