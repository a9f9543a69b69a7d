"""Ragged batches over pages, and what attention to them must give: a plain softmax over each token's own past."""

from collections.abc import Sequence as Many
from dataclasses import dataclass
from random import Random
from types import SimpleNamespace
from typing import Any

import torch
from hypothesis import strategies as st

from functions.gpu.engine.attention import Attention, Step, paged_attention
from functions.gpu.engine.batch import make_batch
from functions.gpu.engine.kv_cache import KvCache, Shape
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence

GARBAGE = 1e4  # where no token was written
SIZE = 16  # of a head


@dataclass(frozen=True)
class Ragged:
    """Rows that decode, by their lengths; chunks of prompts, by their first position and their length."""

    decoding: tuple[int, ...] = ()
    chunks: tuple[tuple[int, int], ...] = ()
    page_tokens: int = 16
    heads: int = 4
    kv_heads: int = 2
    window: int | None = None
    softcap: float | None = None
    scale: float | None = None
    seed: int = 0

    @property
    def rows(self) -> list[tuple[int, int]]:
        """The first position of each row, and the end, as a step orders them."""
        decoding = [(length - 1, length) for length in sorted(self.decoding, reverse=True)]
        return decoding + [(start, start + count) for start, count in self.chunks]


def ragged(*, page_tokens: Many[int], longest: int, softcaps: Many[float | None]) -> st.SearchStrategy[Ragged]:
    """Batches of up to nine rows."""
    position = st.integers(1, longest)
    batches = st.builds(
        Ragged,
        decoding=st.lists(position, max_size=6).map(tuple),
        chunks=st.lists(st.tuples(st.just(0) | position, st.integers(1, 20)), max_size=3).map(tuple),
        page_tokens=st.sampled_from(page_tokens),
        kv_heads=st.sampled_from([1, 2, 4]),
        window=st.sampled_from([None, 1, 3, 16, 1000]),
        softcap=st.sampled_from(softcaps),
        scale=st.sampled_from([None, 0.3]),
        seed=st.integers(0, 2**16),
    )
    return batches.filter(lambda batch: bool(batch.rows))


def attend_to(
    case: Ragged, attention: Attention, *, device: str = "cpu", dtype: Any = torch.float32
) -> tuple[Any, Any]:
    """What an attention gives for a batch, through the interface that a model calls, and what it should give.

    Pages are in a random order. Other pages hold NaN, and what is unwritten of a row's own pages large numbers.
    """
    dice = torch.Generator().manual_seed(case.seed)
    cache = KvCache(Shape(1, case.kv_heads, SIZE, case.page_tokens, dtype), _pages_of(case) + 3, torch.device(device))
    for tensor in (*cache.keys, *cache.values):
        tensor.fill_(torch.nan)
    rows = [Row(one, *place) for one, place in zip(_sequences(case, cache), case.rows, strict=True)]
    states, expected = [], []
    for row in rows:
        query = torch.randn(row.end - row.start, case.heads, SIZE, generator=dice).to(device, dtype)
        keys, values = (torch.randn(row.end, case.kv_heads, SIZE, generator=dice).to(device, dtype) for _ in "kv")
        _write(cache, row, keys, values)
        states.append((query, keys[row.start :], values[row.start :]))
        expected.append(plain_attention(query.float(), keys.float(), values.float(), case))
    batch = make_batch(rows, len(case.decoding), page_tokens=case.page_tokens, device=torch.device(device))
    step = Step(cache, attention, batch.slots, attention.view(batch))
    query, key, value = (torch.cat(kind).transpose(0, 1)[None] for kind in zip(*states, strict=True))
    given, _ = paged_attention(
        SimpleNamespace(layer_idx=0),
        query,
        key,
        value,
        None,
        paged=step,
        scaling=case.scale,
        sliding_window=case.window,
        softcap=case.softcap,
    )
    return given[0].float(), torch.cat(expected)


def plain_attention(query: Any, keys: Any, values: Any, case: Ragged) -> Any:
    """[Q, heads, size], whose tokens are the last of [K, key-value heads, size]: each sees itself and its past."""
    count, heads, size = query.shape
    keys, values = (kind.repeat_interleave(heads // kind.shape[1], 1) for kind in (keys, values))
    scores = torch.einsum("qhd,khd->hqk", query, keys) * (size**-0.5 if case.scale is None else case.scale)
    if case.softcap is not None:
        scores = torch.tanh(scores / case.softcap) * case.softcap
    behind = torch.arange(len(keys) - count, len(keys))[:, None] - torch.arange(len(keys))[None]
    seen = (behind >= 0) & (behind < (case.window or len(keys)))
    scores = scores.masked_fill(~seen.to(scores.device), -torch.inf)
    return torch.einsum("hqk,khd->qhd", torch.softmax(scores, -1), values)


def _pages_of(case: Ragged) -> int:
    return sum(-(-end // case.page_tokens) for _, end in case.rows)


def _sequences(case: Ragged, cache: KvCache) -> list[Sequence]:
    order = list(range(cache.pages))
    Random(case.seed).shuffle(order)
    sequences = []
    for _, end in case.rows:
        pages = [order.pop() for _ in range(-(-end // case.page_tokens))]
        sequences.append(Sequence([0] * end, Sampling(max_tokens=1), pages=pages))
    return sequences


def _write(cache: KvCache, row: Row, keys: Any, values: Any) -> None:
    """A row's past to its pages; its own tokens' keys and values come with the call."""
    pages, past = row.sequence.pages, row.start
    for tensor, kind in ((cache.keys[0], keys), (cache.values[0], values)):
        own = torch.full_like(tensor[pages], GARBAGE).flatten(0, 1)
        own[:past] = kind[:past]
        tensor[pages] = own.view(tensor[pages].shape)
