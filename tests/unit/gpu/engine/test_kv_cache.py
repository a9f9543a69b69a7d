"""Pages as tensors, and how many of them there is memory for."""

from pathlib import Path

import pytest
import torch
from transformers import GPTNeoXConfig, LlamaConfig

from functions.gpu.engine import kv_cache
from functions.gpu.engine.kv_cache import CPU_SHARE, KvCache, Shape, pages_for
from functions.gpu.engine.protocol import ModelUnreadable

CPU = torch.device("cpu")
SHAPE = Shape(layers=2, heads=3, head_dim=5, page_tokens=4, dtype=torch.float32)


def filled(pages: int = 3) -> KvCache:
    """Each place holds its page's number."""
    cache = KvCache(SHAPE, pages, CPU)
    for tensor in (*cache.keys, *cache.values):
        for page in range(pages):
            tensor[page] = page + 1
    return cache


def pages_of(cache: KvCache) -> list[list[float]]:
    """The number that each page holds, by layer; NaN where it holds several."""
    tensors = (*cache.keys, *cache.values)
    return [[float(page.mean()) if page.unique().numel() == 1 else torch.nan for page in one] for one in tensors]


def test_a_page_for_each_and_one_that_is_nobodys() -> None:
    cache = KvCache(SHAPE, 3, CPU)
    assert {tuple(tensor.shape) for tensor in (*cache.keys, *cache.values)} == {(4, 4, 3, 5)}
    assert len(cache.keys) == len(cache.values) == 2
    assert [pages[-1] for pages in pages_of(cache)] == [0.0] * 4
    assert 3 * SHAPE.page_bytes == sum(tensor[:3].nbytes for tensor in (*cache.keys, *cache.values))


def test_a_copy_is_of_one_page_in_all_layers() -> None:
    cache = filled()
    cache.copy(0, 2)
    assert pages_of(cache) == [[1, 2, 1, 0]] * 4


@pytest.mark.parametrize("wiped", [[], [1], [0, 2]])
def test_wiped_pages_are_zero_whatever_they_held(wiped: list[int]) -> None:
    cache = filled()
    for tensor in (*cache.keys, *cache.values):
        tensor[wiped, 0] = torch.nan
    cache.wipe(wiped)
    assert pages_of(cache) == [[0 if page in wiped else page + 1 for page in range(3)] + [0]] * 4


def test_a_shape_is_read_from_what_the_configuration_says() -> None:
    grouped = LlamaConfig(
        hidden_size=32, num_attention_heads=4, num_key_value_heads=2, num_hidden_layers=3, head_dim=16
    )
    assert Shape.of(grouped, 16, torch.bfloat16) == Shape(3, 2, 16, 16, torch.bfloat16)
    plain = GPTNeoXConfig(hidden_size=32, num_attention_heads=4, num_hidden_layers=3)
    assert Shape.of(plain, 16, torch.float32) == Shape(3, 4, 8, 16, torch.float32)
    assert Shape.of(plain, 16, torch.float32).page_bytes == 2 * 3 * 16 * 4 * 8 * 4


@pytest.mark.parametrize(("room", "most", "pages"), [(2.0, 9, 2), (4.9, 9, 4), (100, 9, 9)])
def test_there_are_as_many_pages_as_fit_and_no_more_than_wanted(room: float, most: int, pages: int) -> None:
    assert pages_for(SHAPE, CPU, kv_bytes=int(room * SHAPE.page_bytes), most=most) == pages


@pytest.mark.parametrize("kv_bytes", [0, SHAPE.page_bytes * 2 - 1])
def test_no_room_for_two_pages_is_one_line_with_the_numbers(kv_bytes: int) -> None:
    with pytest.raises(
        ModelUnreadable, match=f"a page of 4 tokens takes 960 bytes, and there are {kv_bytes:,} for all"
    ):
        pages_for(SHAPE, CPU, kv_bytes=kv_bytes, most=9)


@pytest.mark.parametrize(("system", "group", "room"), [(1000, 500, 500), (400, 1 << 62, 400), (400, 0, 0)])
def test_a_processor_gives_a_share_of_what_the_system_and_its_group_leave(
    system: int, group: int, room: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = int(SHAPE.page_bytes / CPU_SHARE)
    monkeypatch.setattr(kv_cache, "_available", lambda: system * unit)
    monkeypatch.setattr(kv_cache, "_left_of_the_group", lambda: group * unit)
    if room:
        assert pages_for(SHAPE, CPU, kv_bytes=None, most=10_000) == room
    else:
        with pytest.raises(ModelUnreadable):
            pages_for(SHAPE, CPU, kv_bytes=None, most=10_000)


@pytest.mark.parametrize(
    ("limit", "used", "left"),
    [
        ("1000\n", "300\n", 700),
        ("1000", "1300", 0),
        ("max\n", "300\n", 1 << 62),
        ("", "", 1 << 62),
        (None, None, 1 << 62),
    ],
)
def test_a_containers_limit_leaves_what_is_not_used(
    limit: str | None, used: str | None, left: int, tmp_path: Path
) -> None:
    for name, text in {"memory.max": limit, "memory.current": used}.items():
        if text is not None:
            (tmp_path / name).write_text(text)
    assert kv_cache._left_of_the_group(tmp_path) == left


def test_this_machine_has_memory() -> None:
    assert pages_for(SHAPE, CPU, kv_bytes=None, most=2) == 2
