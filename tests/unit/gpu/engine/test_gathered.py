"""Gathered attention against a plain softmax over each sequence's own past, whatever else the pages hold."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.gpu.engine import gathered
from functions.gpu.engine.gathered import GatheredAttention
from tests.unit.gpu.engine.ragged import Ragged, attend_to, ragged


def check(case: Ragged, attention: GatheredAttention) -> None:
    with torch.inference_mode():
        given, expected = attend_to(case, attention)
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)


@settings(max_examples=120)
@given(
    st.lists(ragged(page_tokens=[1, 3, 16], longest=70, softcaps=[None, 2.0]), min_size=1, max_size=3),
    st.sampled_from([1, 64, 4096]),
)
def test_every_token_attends_to_its_own_past(cases: list[Ragged], group_tokens: int) -> None:
    """Several steps of one attention, whose buffers the later ones find used."""
    attention = GatheredAttention()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gathered, "GROUP_TOKENS", group_tokens)
        for case in cases:
            check(case, attention)


@pytest.mark.parametrize("softcap", [None, 2.0])
@pytest.mark.parametrize("window", [None, 5, 32])
def test_long_and_short_rows_beside_chunks(window: int | None, softcap: float | None) -> None:
    case = Ragged((700, 300, 299, 17, 16, 2, 1), ((0, 40), (256, 33), (15, 1)), window=window, softcap=softcap)
    check(case, GatheredAttention())


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, 5])
def test_on_a_gpu_too(window: int | None) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    case = Ragged((300, 17, 16, 1), ((0, 40), (31, 33)), window=window)
    with torch.inference_mode():
        given, expected = attend_to(case, GatheredAttention(), device="cuda")
    torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)
