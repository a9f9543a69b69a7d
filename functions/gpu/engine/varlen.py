"""Attention on CUDA, straight on the pages: torch's variable-length flash attention.

Source: `torch.nn.attention.varlen`. Pages are of 256 tokens, or a multiple, as its kernel demands.
`num_splits=1` is needed for right results, not only for results that do not depend on the batch: with split
keys the paged kernel of flash attention 2 gives wrong numbers or NaN (pytorch issue 194167).
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.attention.varlen import varlen_attn

from functions.gpu.engine.attention import Call
from functions.gpu.engine.batch import Batch

PAGE_TOKENS = 256


@dataclass(frozen=True, slots=True)
class View:
    """What the kernel is told of a step; all tensors are int32."""

    bounds: Any  # [N + 1], where each row's tokens begin in the step
    lengths: Any  # [N], of each row's sequence after the step
    table: Any  # [N, pages of the longest]
    longest_row: int
    longest: int


class VarlenAttention:
    """An Attention (attention.py)."""

    def view(self, batch: Batch) -> View:
        """What all layers of the step share, copied to the device at once."""
        rows = batch.rows
        wide = max(len(row.sequence.pages) for row in rows)
        bounds = [0]
        for row in rows:
            bounds.append(bounds[-1] + row.end - row.start)
        lengths = [row.end for row in rows]
        table = [page for row in rows for page in (*row.sequence.pages, *[0] * (wide - len(row.sequence.pages)))]
        flat = torch.tensor(bounds + lengths + table, dtype=torch.int32)
        if batch.ids.device.type == "cuda":
            flat = flat.pin_memory().to(batch.ids.device, non_blocking=True)
        count = len(rows)
        return View(
            bounds=flat[: count + 1],
            lengths=flat[count + 1 : 2 * count + 1],
            table=flat[2 * count + 1 :].view(count, wide),
            longest_row=max(row.end - row.start for row in rows),
            longest=max(lengths),
        )

    def attend(self, call: Call) -> Any:
        """The output of a layer, [T, heads, head dimension]."""
        view: View = call.view
        return varlen_attn(
            call.query.transpose(0, 1),
            call.keys,
            call.values,
            view.bounds,
            None,
            view.longest_row,
            view.longest,
            scale=call.scale,
            window_size=(-1, 0) if call.window is None else (call.window - 1, 0),
            enable_gqa=call.query.shape[0] != call.keys.shape[2],
            seqused_k=view.lengths,
            block_table=view.table,
            num_splits=1,
        )
