"""The keys and values of every page, and how many pages there is memory for.

Shapes: a layer's keys, and its values, are [pages + 1, page_tokens, key-value heads, head dimension]. The
last page is nobody's: what a captured graph computes for rows that are not there goes into it.
"""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from functions.gpu.engine.protocol import ModelUnreadable

GPU_SHARE, CPU_SHARE = 0.9, 0.25  # of the free memory
RESERVE = 1 << 30  # bytes that a GPU keeps for activations and graphs


@dataclass(frozen=True, slots=True)
class Shape:
    """What a page of a model takes."""

    layers: int
    heads: int  # of keys and values
    head_dim: int
    page_tokens: int
    dtype: Any

    @classmethod
    def of(cls, config: Any, page_tokens: int, dtype: Any) -> "Shape":
        """The shape that a model's text configuration says."""
        heads = config.num_attention_heads
        return cls(
            layers=config.num_hidden_layers,
            heads=getattr(config, "num_key_value_heads", None) or heads,
            head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
            page_tokens=page_tokens,
            dtype=dtype,
        )

    @property
    def page_bytes(self) -> int:
        """Bytes of one page, over all layers."""
        return 2 * self.layers * self.page_tokens * self.heads * self.head_dim * self.dtype.itemsize


class KvCache:
    """The tensors. A page holds whatever memory held, until it is wiped: no memory is touched before it is used."""

    def __init__(self, shape: Shape, pages: int, device: Any) -> None:
        self.shape = shape
        self.pages = pages
        size = (shape.layers, pages + 1, shape.page_tokens, shape.heads, shape.head_dim)
        self._keys, self._values = (torch.empty(size, dtype=shape.dtype, device=device) for _ in "kv")
        self.keys: list[Any] = list(self._keys)  # of each layer
        self.values: list[Any] = list(self._values)
        self.wipe([pages])

    def copy(self, source: int, target: int) -> None:
        """Copy a page."""
        for tensor in (self._keys, self._values):
            tensor[:, target].copy_(tensor[:, source])

    def wipe(self, pages: list[int]) -> None:
        """Make pages zero. A masked position counts for nothing only while it holds numbers."""
        if not pages:
            return
        for tensor in (self._keys, self._values):
            tensor[:, pages] = 0


def pages_for(shape: Shape, device: Any, *, kv_bytes: int | None, most: int) -> int:
    """How many pages to make, at most `most`. Raises ModelUnreadable where not even two fit."""
    room = _free(device) if kv_bytes is None else kv_bytes
    pages = min(most, room // shape.page_bytes)
    if pages < 2:
        raise ModelUnreadable(
            f"a page of {shape.page_tokens} tokens takes {shape.page_bytes:,} bytes, and there are {room:,} for all"
        )
    return int(pages)


def _free(device: Any) -> int:
    """Bytes that may be taken."""
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        return max(0, int(free * GPU_SHARE) - RESERVE)
    return int(min(_available(), _left_of_the_group()) * CPU_SHARE)


def _available() -> int:
    """What the system can give without swapping (Linux's MemAvailable), or its free pages elsewhere."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2


def _left_of_the_group(group: Path = Path("/sys/fs/cgroup")) -> int:
    """What a container's limit leaves (control groups version 2)."""
    try:
        limit = (group / "memory.max").read_text(encoding="ascii").strip()
        used = int((group / "memory.current").read_text(encoding="ascii"))
        return max(0, int(limit) - used)
    except (OSError, ValueError):  # no such limit: "max", or no such files
        return 1 << 62
