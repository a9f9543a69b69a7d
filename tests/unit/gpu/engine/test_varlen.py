"""What the kernel for CUDA is told, checked by a plain one of the same contract; and, on a GPU, the kernel itself."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings

from functions.gpu.engine import varlen
from functions.gpu.engine.varlen import PAGE_TOKENS, VarlenAttention
from tests.unit.gpu.engine.ragged import Ragged, attend_to, plain_attention, ragged

MIXED = Ragged((600, 257, 256, 255, 3, 1), ((0, 20), (250, 20), (512, 9)), page_tokens=PAGE_TOKENS)


def plain_varlen(  # noqa: PLR0917  (the signature of the kernel)
    query: Any,
    keys: Any,
    values: Any,
    bounds: Any,
    bounds_of_keys: None,
    longest_row: int,
    longest: int,
    *,
    scale: float | None,
    window_size: tuple[int, int],
    enable_gqa: bool,
    seqused_k: Any,
    block_table: Any,
    num_splits: int,
) -> Any:
    """torch.nn.attention.varlen.varlen_attn over pages, row by row: its contract, and nothing of its speed."""
    assert bounds_of_keys is None
    assert num_splits == 1
    assert keys.shape[1] % PAGE_TOKENS == 0
    assert enable_gqa == (query.shape[1] != keys.shape[2])
    assert {kind.dtype for kind in (bounds, seqused_k, block_table)} == {torch.int32}
    assert block_table.shape[0] == len(seqused_k) == len(bounds) - 1
    left, right = window_size
    assert right == 0
    out = torch.full_like(query, torch.nan)
    for row, (first, last) in enumerate(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)):
        length = int(seqused_k[row])
        assert last - first <= min(longest_row, length)
        assert length <= longest
        table = block_table[row, : -(-length // keys.shape[1])].long()
        past, present = (pages[table].flatten(0, 1)[:length] for pages in (keys, values))
        case = Ragged(scale=scale, window=None if left == -1 else left + 1)
        out[first:last] = plain_attention(query[first:last], past, present, case)
    return out


@settings(max_examples=50)
@given(ragged(page_tokens=[PAGE_TOKENS, 2 * PAGE_TOKENS], longest=600, softcaps=[None]))
def test_the_kernel_is_told_who_sees_whom(case: Ragged) -> None:
    with pytest.MonkeyPatch.context() as patch, torch.inference_mode():
        patch.setattr(varlen, "varlen_attn", plain_varlen)
        given, expected = attend_to(case, VarlenAttention())
    torch.testing.assert_close(given, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("window", [None, 1, 100])
def test_the_kernel_gives_what_it_should(window: int | None, kv_heads: int) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    case = Ragged(MIXED.decoding, MIXED.chunks, PAGE_TOKENS, kv_heads=kv_heads, window=window)
    with torch.inference_mode():
        given, expected = attend_to(case, VarlenAttention(), device="cuda", dtype=torch.bfloat16)
    torch.testing.assert_close(given, expected, rtol=2e-2, atol=2e-2)
