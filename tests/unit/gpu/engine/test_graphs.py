"""Recorded decoding, with a stand-in for CUDA's graphs that runs the model again on the same tensors."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import pairwise
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine import varlen
from functions.gpu.engine.batch import make_batch
from functions.gpu.engine.gathered import GatheredAttention
from functions.gpu.engine.graphs import DecodeGraphs, sizes
from functions.gpu.engine.kv_cache import KvCache
from functions.gpu.engine.runner import Runner
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence
from functions.gpu.engine.varlen import VarlenAttention
from tests.unit.gpu.engine import paged
from tests.unit.gpu.engine.test_varlen import plain_varlen

MOST, LONGEST = 6, 700


class Recording:
    """torch.cuda.CUDAGraph, as far as it is used."""

    under_way: "Recording | None" = None

    def __init__(self) -> None:
        self.calls: list[tuple[Any, Any, Any]] = []

    def pool(self) -> object:
        return self

    def replay(self) -> None:
        for forward, inputs, logits in self.calls:
            logits.copy_(forward(*inputs))


def recorded(forward: Any) -> Any:
    """A forward pass that a recording under way takes down."""

    def run(*inputs: Any) -> Any:
        logits = forward(*inputs)
        if Recording.under_way is not None:
            Recording.under_way.calls.append((forward, inputs, logits))
        return logits

    return run


@contextmanager
def recording(graph: Recording, pool: Any) -> Iterator[None]:
    Recording.under_way = graph
    yield
    Recording.under_way = None


class Stream:
    """torch.cuda.Stream, on which nothing is done."""

    def wait_stream(self, other: "Stream") -> None:
        """Nothing is under way."""


class Kernel:
    """The plain one, which remembers what it was asked for last."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, int]] = []  # of each row: its length, and its first page

    def __call__(self, *given: Any, **options: Any) -> Any:
        self.asked = list(zip(options["seqused_k"].tolist(), options["block_table"][:, 0].tolist(), strict=True))
        return plain_varlen(*given, **options)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    """No CUDA is needed where this is."""
    kernel = Kernel()
    monkeypatch.setattr(varlen, "varlen_attn", kernel)
    monkeypatch.setattr(torch.cuda, "CUDAGraph", Recording)
    monkeypatch.setattr(torch.cuda, "graph", recording)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda _: nullcontext())
    return kernel


def steps() -> Iterator[list[Sequence]]:
    """Batches of many sizes, long ones before short ones, on pages that belong to others by turns."""
    order = [7, 2, 9, 0, 5, 11, 3, 8, 1, 10, 4, 6]
    for seed, lengths in enumerate([(600, 513, 40, 3, 2), (5,), (30, 20), (256, 9, 4), (257, 256, 9, 8, 7, 2), (2,)]):
        free = order[seed:] + order[:seed]
        yield [
            paged.sequence([free.pop() for _ in range(-(-length // 256))], length, seed * 10 + place)
            for place, length in enumerate(lengths)
        ]


def run(graphs: DecodeGraphs, sequences: list[Sequence], cache: KvCache) -> Any:
    rows = [Row(one, len(one) - 1, len(one)) for one in sequences]
    return graphs.run(make_batch(rows, len(rows), page_tokens=cache.shape.page_tokens, device=cache.keys[0].device))


def pair() -> tuple[Runner, KvCache, Runner, KvCache]:
    """Two runners of one model, each with pages of its own."""
    found: list[Any] = []
    for _ in range(2):
        model = paged.loaded()
        cache = paged.cache_for(model)
        found += [paged.runner_on(model, cache, VarlenAttention()), cache]
    return found[0], found[1], found[2], found[3]


@torch.inference_mode()
def test_graphs_give_what_a_step_gives_and_touch_nobodys_page_but_the_last(kernel: Kernel) -> None:
    eager, its_cache, runner, cache = pair()
    graphs = DecodeGraphs(recorded(runner._forward), cache, most=MOST, longest=LONGEST)
    assert not any(tensor[:-1].any() for tensor in (*cache.keys, *cache.values))  # what recording left behind
    for sequences in steps():
        for one in (eager, runner):
            paged.read(one, sequences)
        logits = run(graphs, sequences, cache)
        padding = kernel.asked[len(sequences) :]
        assert padding == [(1, cache.pages)] * len(padding)  # a token of nobody's, on the page that is nobody's
        torch.testing.assert_close(logits, paged.decode(eager, sequences), rtol=1e-5, atol=1e-5)
        for own, others in zip([*cache.keys, *cache.values], [*its_cache.keys, *its_cache.values], strict=True):
            torch.testing.assert_close(own[:-1], others[:-1], rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_a_step_larger_than_every_graph_has_none(kernel: Kernel) -> None:
    _, _, runner, cache = pair()
    graphs = DecodeGraphs(recorded(runner._forward), cache, most=1, longest=LONGEST)
    assert run(graphs, [paged.sequence([page], 2) for page in range(2)], cache) is None


def test_graphs_are_for_attention_of_fixed_sizes() -> None:
    assert DecodeGraphs.fits(VarlenAttention())
    assert not DecodeGraphs.fits(GatheredAttention())


@given(st.integers(1, 3000))
def test_sizes_hold_every_number_of_rows_with_little_to_spare(most: int) -> None:
    found = sizes(most)
    assert found == sorted(set(found))
    assert found[0] == 1
    assert found[-1] == most
    for before, size in pairwise(found):
        assert size <= max(2 * before, before + 8) or before >= 2048
    assert len(found) <= 84


@pytest.mark.gpu
@torch.inference_mode()
def test_graphs_on_a_gpu_give_what_a_step_gives() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    runners = []
    for _ in range(2):
        model = paged.loaded(device="cuda", dtype=torch.bfloat16)
        runners.append(paged.runner_on(model, paged.cache_for(model)))
    runner, eager = runners
    runner.capture(MOST, LONGEST)
    assert runner._graphs is not None
    for sequences in steps():
        for one in runners:
            paged.read(one, sequences)
        torch.testing.assert_close(
            paged.decode(runner, sequences), paged.decode(eager, sequences), rtol=2e-2, atol=2e-2
        )
