"""The attention that a transformers model calls in our place of its own, over the pages of a KvCache.

It is one function, registered with transformers' AttentionInterface under `NAME`; everything else of the
model stays as it is. A step hands its `Step` through the model's keyword arguments. The function first
writes the new keys and values to their pages, then lets one of two kinds attend to them:

    varlen      16-bit floats on CUDA: torch's variable-length flash attention, straight on the pages
    gathered    everything else: scaled_dot_product_attention over pages that are copied side by side

Covers causal attention with grouped heads, sliding windows and soft caps. What a model may do beyond that is
found by the runner's comparison with the model's own attention, not here.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from transformers import AttentionInterface

from functions.gpu.engine.batch import Batch
from functions.gpu.engine.kv_cache import KvCache

NAME = "penstock_paged"


class Attention(Protocol):
    """One way to attend to pages."""

    def view(self, batch: Batch) -> Any:
        """What all layers of a step share."""

    def attend(self, call: "Call") -> Any:
        """The output of a layer, [T, heads, head dimension]."""


@dataclass(frozen=True, slots=True)
class Step:
    """What the model's layers are told of a step."""

    cache: KvCache
    attention: Attention
    slots: Any  # int64 [T]
    view: Any


@dataclass(frozen=True, slots=True)
class Call:
    """One layer's attention. `window` is how many tokens a token sees, itself among them; None: all before it."""

    query: Any  # [heads, T, head dimension]
    new_keys: Any  # [key-value heads, T, head dimension], which are in the pages already
    new_values: Any
    keys: Any  # the layer's pages: [pages, page_tokens, key-value heads, head dimension]
    values: Any
    view: Any
    scale: float | None
    window: int | None
    softcap: float | None


def paged_attention(
    module: Any,
    query: Any,
    key: Any,
    value: Any,
    attention_mask: Any,  # transformers makes none for us: the pages say who sees whom
    *,
    paged: Step,
    scaling: float | None = None,
    sliding_window: int | None = None,
    softcap: float | None = None,
    **_: Any,
) -> tuple[Any, None]:
    """transformers' attention interface: states [1, heads, T, head dimension] to [1, T, heads, head dimension]."""
    keys, values = paged.cache.keys[module.layer_idx], paged.cache.values[module.layer_idx]
    _, _, heads, size = keys.shape
    keys.view(-1, heads, size).index_copy_(0, paged.slots, key[0].transpose(0, 1))
    values.view(-1, heads, size).index_copy_(0, paged.slots, value[0].transpose(0, 1))
    call = Call(query[0], key[0], value[0], keys, values, paged.view, scaling, sliding_window, softcap)
    return paged.attention.attend(call).unsqueeze(0), None


AttentionInterface.register(NAME, paged_attention)


def choose_attention(config: Any, device: Any, dtype: Any) -> Attention:
    """The kind for this model on this device."""
    from functions.gpu.engine.gathered import GatheredAttention  # noqa: PLC0415  (they import this module)
    from functions.gpu.engine.varlen import VarlenAttention  # noqa: PLC0415

    capped = getattr(config, "attn_logit_softcapping", None) is not None  # flash attention has no soft cap
    if device.type == "cuda" and dtype in (torch.bfloat16, torch.float16) and not capped:
        return VarlenAttention()
    return GatheredAttention()
