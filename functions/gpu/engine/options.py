"""How an engine is loaded and bounded. Each value is checked here, once."""

from dataclasses import dataclass
from enum import StrEnum
from math import inf
from pathlib import Path


class PrefixCache(StrEnum):
    """Who shares the keys and values of a prompt's beginning."""

    OFF = "off"
    OWNER = "owner"  # the requests of one owner: what another asked shows in no answer's time
    SHARED = "shared"  # all requests


class Pooling(StrEnum):
    """How a text's hidden states become its embedding."""

    MEAN = "mean"
    LAST = "last"  # the last token's


class Quantization(StrEnum):
    """How weights are kept."""

    NONE = "none"
    INT8 = "int8"  # weights of linear layers in 8 bits, one scale a row; activations as they are


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Raises ValueError where a value has no meaning."""

    folder: Path  # of the model; see hub.py for what is on the hub
    dtype: str = "auto"  # float32, bfloat16, float16; auto: the weights' own on a GPU, float32 on the CPU
    device: str | None = None  # None: the GPU if there is one
    threads: int | None = None  # torch's, on the CPU, for the whole process
    context_length: int | None = None  # lowers the model's own
    quantization: Quantization = Quantization.NONE
    pooling: Pooling | None = None  # how to embed; None: no embeddings
    queue_limit: int = 64  # requests that may wait
    max_running: int = 64  # sequences in the batch
    step_tokens: int = 512  # that one step computes at most; what decoding leaves of them goes to prompts
    stretch: float = 2.0  # how much longer than a decoding step one may take that also reads prompts
    kv_bytes: int | None = None  # the most for keys and values; None: a share of the free memory
    page_tokens: int | None = None  # None: 256 on a GPU, 16 on the CPU
    prefix_cache: PrefixCache = PrefixCache.OWNER

    def __post_init__(self) -> None:
        for name, least in {"queue_limit": 1, "max_running": 1, "step_tokens": 1}.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} is {getattr(self, name)}, not at least {least}")
        if not 1 < self.stretch < inf:
            raise ValueError(f"stretch is {self.stretch}, not over 1 and finite")
        if self.step_tokens < self.max_running:
            raise ValueError("step_tokens is less than max_running: a step must hold a token of each sequence")
        if self.page_tokens is not None and self.page_tokens < 1:
            raise ValueError(f"page_tokens is {self.page_tokens}, not at least 1")
