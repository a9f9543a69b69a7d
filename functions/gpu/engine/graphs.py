"""Decoding on CUDA as recorded graphs: a step of thousands of kernels is started by one call.

A graph has fixed sizes, so there is one for each of some numbers of rows; a step uses the smallest that
holds it. The rows that are not there compute a token of nobody's, on the page that is nobody's. Inputs and
logits live at fixed addresses, shared by all graphs: the logits hold until the next step.
"""

from collections.abc import Callable
from typing import Any

import torch

from functions.gpu.engine.attention import Attention
from functions.gpu.engine.batch import Batch
from functions.gpu.engine.kv_cache import KvCache
from functions.gpu.engine.varlen import VarlenAttention, View

Forward = Callable[[Any, Any, Any, Any, Any], Any]
ROUNDS = 2  # before a recording: libraries choose kernels and take their workspaces then


def sizes(most: int) -> list[int]:
    """Numbers of rows to record: each little more than the one before, so that little is computed for nobody."""
    steps = [1, 2, 4, *range(8, 64, 8), *range(64, 257, 16), *range(288, 2049, 32)]
    return [size for size in steps if size < most] + [most]


class DecodeGraphs:
    """The graphs of one model. Recording takes seconds and happens here."""

    def __init__(self, forward: Forward, cache: KvCache, *, most: int, longest: int) -> None:
        page_tokens, device = cache.shape.page_tokens, cache.keys[0].device
        wide = -(-longest // page_tokens)
        self._nobodys_slot = cache.pages * page_tokens
        self._nobodys_page = cache.pages
        self._ids, self._positions, self._slots = (
            torch.zeros(most, dtype=torch.int64, device=device) for _ in range(3)
        )
        self._lengths = torch.ones(most, dtype=torch.int32, device=device)
        self._table = torch.full((most, wide), self._nobodys_page, dtype=torch.int32, device=device)
        self._bounds = torch.arange(most + 1, dtype=torch.int32, device=device)
        self._longest = longest
        self._graphs: dict[int, tuple[Any, Any]] = {}  # by rows: the graph and its logits
        self._slots.fill_(self._nobodys_slot)
        pool = None
        for size in reversed(sizes(most)):  # the largest first, so that the others fit into its memory
            self._graphs[size] = self._record(forward, size, pool)
            pool = self._graphs[size][0].pool()

    @staticmethod
    def fits(attention: Attention) -> bool:
        """Whether this attention has fixed sizes."""
        return isinstance(attention, VarlenAttention)

    def run(self, batch: Batch) -> Any:
        """The logits of a step that only decodes; None where no graph holds it."""
        count = len(batch.rows)
        size = min((size for size in self._graphs if size >= count), default=None)
        if size is None:
            return None
        self._fill(batch, count, size)
        graph, logits = self._graphs[size]
        graph.replay()
        return logits[:count]

    def _fill(self, batch: Batch, count: int, size: int) -> None:
        rows = [row.sequence.pages for row in batch.rows]
        wide = max(map(len, rows))
        lengths = [row.end for row in batch.rows]
        table = [page for pages in rows for page in (*pages, *[0] * (wide - len(pages)))]
        flat = torch.tensor(lengths + table, dtype=torch.int32)
        if self._lengths.device.type == "cuda":
            flat = flat.pin_memory().to(self._lengths.device, non_blocking=True)
        self._ids[:count].copy_(batch.ids[0])
        self._positions[:count].copy_(batch.positions[0])
        self._slots[:count].copy_(batch.slots)
        self._lengths[:count].copy_(flat[:count])
        self._table[:count, :wide].copy_(flat[count:].view(count, wide))
        if count < size:  # what an earlier step left behind
            self._ids[count:size].zero_()
            self._positions[count:size].zero_()
            self._slots[count:size].fill_(self._nobodys_slot)
            self._lengths[count:size].fill_(1)
            self._table[count:size, 0].fill_(self._nobodys_page)

    def _record(self, forward: Forward, size: int, pool: Any) -> tuple[Any, Any]:
        view = View(self._bounds[: size + 1], self._lengths[:size], self._table[:size], 1, self._longest)
        inputs = (self._ids[None, :size], self._positions[None, :size], self._slots[:size], view, 0)
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(ROUNDS):
                forward(*inputs)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            logits = forward(*inputs)
        return graph, logits
