"""What the device can do at most, measured: bytes a second out of its memory, operations a second in bfloat16."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

_TIMES = 10


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Bytes and floating-point operations a second."""

    bandwidth: float
    operations: float


def measure_ceilings(device: str, copied: int, multiplied: int) -> Ceilings:
    """The best of several times each; the bandwidth is the better one of a copy and of a sum."""
    source, target = (torch.ones(copied // 2, dtype=torch.bfloat16, device=device) for _ in range(2))
    copying = _best(partial(target.copy_, source), device)
    summing = _best(source.view(torch.float32).sum, device)
    left, right = (torch.ones(multiplied, multiplied, dtype=torch.bfloat16, device=device) for _ in range(2))
    multiplying = _best(partial(torch.mm, left, right), device)
    return Ceilings(max(2 * copied / copying, copied / summing), 2 * multiplied**3 / multiplying)


def _best(work: Callable[[], Any], device: str) -> float:
    """Seconds."""
    taken = []
    for _ in range(_TIMES):
        _wait(device)
        begun = time.perf_counter()
        work()
        _wait(device)
        taken.append(time.perf_counter() - begun)
    return min(taken)


def _wait(device: str) -> None:
    if device.startswith("cuda"):
        torch.cuda.synchronize()
