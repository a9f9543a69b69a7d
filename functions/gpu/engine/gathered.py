"""Attention over pages that are copied side by side first: exact everywhere, at home on the CPU.

Rows that decode are taken in groups of similar length, one scaled_dot_product_attention each, so that little
is padded and a group's keys stay in the processor's caches. Chunks of prompts are taken one by one; one that
begins its prompt needs no pages at all.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn.functional import scaled_dot_product_attention

from functions.gpu.engine.attention import Call
from functions.gpu.engine.batch import Batch

GROUP_TOKENS = 4096  # of a group, padding included


@dataclass(frozen=True, slots=True)
class Group:
    """Rows `first` to `last` (exclusive) that decode, with their pages side by side.

    `table` is int64 [rows * pages a row]; `mask` is bool [rows, 1, 1, pages a row * page_tokens].
    """

    first: int
    last: int
    table: Any
    mask: Any


@dataclass(frozen=True, slots=True)
class Chunk:
    """Tokens `first` to `last` (exclusive) of the step are positions `start` and following of one sequence."""

    first: int
    last: int
    start: int
    table: Any  # int64 [pages]


@dataclass(slots=True)
class View:
    """A step's groups for each window, its chunks, and the masks that layers share."""

    batch: Batch
    page_tokens: int
    chunks: list[Chunk]
    groups: dict[int | None, list[Group]] = field(default_factory=dict)
    masks: dict[tuple[int, int, int | None], Any] = field(default_factory=dict)


class GatheredAttention:
    """An Attention (attention.py). Rows that decode are expected by length, the longest first."""

    def __init__(self) -> None:
        self._scratch: dict[str, Any] = {}

    def view(self, batch: Batch) -> View:
        """What all layers of the step share; the page size is learnt from the first of them."""
        device = batch.ids.device
        chunks, at = [], batch.decoding
        for row in batch.rows[batch.decoding :]:
            count = row.end - row.start
            table = torch.tensor(row.sequence.pages, device=device) if row.start else None
            chunks.append(Chunk(at, at + count, row.start, table))
            at += count
        return View(batch, 0, chunks)

    def attend(self, call: Call) -> Any:
        """The output of a layer, [T, heads, head dimension]."""
        view: View = call.view
        view.page_tokens = call.keys.shape[1]
        heads, count, size = call.query.shape
        out = torch.empty(count, heads, size, dtype=call.query.dtype, device=call.query.device)
        if view.batch.decoding:
            if call.window not in view.groups:
                view.groups[call.window] = _groups(view, call.window)
            for group in view.groups[call.window]:
                self._decode(call, group, out)
        for chunk in view.chunks:
            self._read(call, chunk, out)
        return out

    def _decode(self, call: Call, group: Group, out: Any) -> None:
        rows = group.last - group.first
        kv_heads = call.keys.shape[2]
        query = call.query[:, group.first : group.last].transpose(0, 1)  # [rows, heads, size]
        query = query.unflatten(1, (kv_heads, -1))  # the heads of a key-value head as its queries
        keys = self._side_by_side("keys", call.keys, group.table, rows)
        values = self._side_by_side("values", call.values, group.table, rows)
        answer = _attend(query, keys, values, group.mask, call)
        out[group.first : group.last] = answer.flatten(1, 2)

    def _read(self, call: Call, chunk: Chunk, out: Any) -> None:
        part = slice(chunk.first, chunk.last)
        query = call.query[:, part].unsqueeze(0)
        end = chunk.start + chunk.last - chunk.first
        if chunk.start:
            keys = self._side_by_side("keys", call.keys, chunk.table, 1)[:, :, :end]
            values = self._side_by_side("values", call.values, chunk.table, 1)[:, :, :end]
        else:
            keys, values = call.new_keys[:, part].unsqueeze(0), call.new_values[:, part].unsqueeze(0)
        mask = _mask(call.view, chunk.start, end, call.window, query.device)
        out[part] = _attend(query, keys, values, mask, call)[0].transpose(0, 1)

    def _side_by_side(self, name: str, pages: Any, table: Any, rows: int) -> Any:
        """Copies of pages, [rows, key-value heads, tokens, head dimension], in a buffer that the next call reuses."""
        _, page_tokens, heads, size = pages.shape
        width = page_tokens * heads * size
        scratch = self._scratch.get(name)
        if scratch is None or scratch.shape[0] < len(table) or scratch.shape[1] != width:
            scratch = torch.empty(len(table), width, dtype=pages.dtype, device=pages.device)
            self._scratch[name] = scratch
        copied = torch.index_select(pages.view(len(pages), width), 0, table, out=scratch[: len(table)])
        return copied.view(rows, -1, heads, size).transpose(1, 2)


def _attend(query: Any, keys: Any, values: Any, mask: Any, call: Call) -> Any:
    """Attention of [B, heads, Q, size] to [B, key-value heads, K, size]; `mask` None is causal from the beginning."""
    if call.softcap is None:
        return scaled_dot_product_attention(
            query,
            keys,
            values,
            attn_mask=mask,
            is_causal=mask is None,
            scale=call.scale,
            enable_gqa=query.shape[1] != keys.shape[1],
        )
    groups = query.shape[1] // keys.shape[1]
    keys, values = keys.repeat_interleave(groups, 1), values.repeat_interleave(groups, 1)
    scale = query.shape[-1] ** -0.5 if call.scale is None else call.scale
    scores = torch.tanh(query @ keys.transpose(2, 3) * scale / call.softcap) * call.softcap
    if mask is None:
        mask = torch.ones(scores.shape[-2:], dtype=torch.bool, device=scores.device).tril()
    scores = scores.masked_fill(~mask, -torch.inf)
    return torch.softmax(scores, dim=-1, dtype=torch.float32).to(values.dtype) @ values


def _mask(view: View, start: int, end: int, window: int | None, device: Any) -> Any:
    """Who sees whom, bool [end - start, end]; None where a prompt's beginning sees all before it."""
    if start == 0 and (window is None or end <= window):
        return None
    window = None if window is None or end <= window else window
    if (start, end, window) not in view.masks:
        behind = torch.arange(start, end, device=device)[:, None] - torch.arange(end, device=device)[None]
        view.masks[start, end, window] = (behind >= 0) if window is None else (behind >= 0) & (behind < window)
    return view.masks[start, end, window]


def _groups(view: View, window: int | None) -> list[Group]:
    """Rows that decode, cut into groups; only the pages that a window can see."""
    size = view.page_tokens
    seen = []  # of each row: its pages, the position that they begin at, its length
    for row in view.batch.rows[: view.batch.decoding]:
        first = 0 if window is None else max(0, row.end - window) // size
        seen.append((row.sequence.pages[first : -(-row.end // size)], first * size, row.end))
    groups, at = [], 0
    while at < len(seen):
        wide = len(seen[at][0])
        last = at + 1
        while last < len(seen) and (last + 1 - at) * max(wide, len(seen[last][0])) * size <= GROUP_TOKENS:
            wide = max(wide, len(seen[last][0]))
            last += 1
        table, mask = _padded(seen[at:last], wide * size, window, view.batch.ids.device)
        groups.append(Group(at, last, table, mask))
        at = last
    return groups


def _padded(seen: list[tuple[list[int], int, int]], width: int, window: int | None, device: Any) -> tuple[Any, Any]:
    """The table of these rows' pages, each filled up to `width` tokens, and who of them is seen."""
    wide = max(len(pages) for pages, _, _ in seen)
    table = [page for pages, _, _ in seen for page in (*pages, *[pages[0]] * (wide - len(pages)))]
    begins = torch.tensor([begin for _, begin, _ in seen], device=device)[:, None]
    lengths = torch.tensor([length for _, _, length in seen], device=device)[:, None]
    at = begins + torch.arange(width, device=device)[None]
    mask = at < lengths if window is None else (at < lengths) & (at >= lengths - window)
    return torch.tensor(table, device=device), mask[:, None, None]
