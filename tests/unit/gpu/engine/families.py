"""Tiny models of the families that the engine is tested on, and what transformers itself answers with them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import Gemma2Config, Gemma3TextConfig, LlamaConfig, MistralConfig, Qwen3Config

from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.options import EngineOptions
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes

MARGIN = 1e-3  # between the two likeliest tokens' logits, at least; rounding moves them by a thousandth of it
WINDOW: dict[str, Any] = {"sliding_window": 12}  # tokens, and every text is longer
ALTERNATING: dict[str, Any] = {**WINDOW, "layer_types": ["sliding_attention", "full_attention"]}
FAMILIES: dict[str, Callable[[dict[str, Any]], Any]] = {
    "llama": lambda sizes: LlamaConfig(**sizes),
    "qwen3": lambda sizes: Qwen3Config(**sizes),
    "mistral": lambda sizes: MistralConfig(**sizes, **WINDOW),
    "gemma2": lambda sizes: Gemma2Config(**sizes, **ALTERNATING, attn_logit_softcapping=5.0, query_pre_attn_scalar=8),
    "gemma3": lambda sizes: Gemma3TextConfig(**sizes, **ALTERNATING, query_pre_attn_scalar=8),
}


def load_family(name: str, folder: Path) -> LoadedModel:
    """A tiny model of this family in float32 that never ends by itself."""
    tokenizer = make_tokenizer()
    config = FAMILIES[name](tiny_sizes(tokenizer))
    make_tiny_model(folder, config=config, tokenizer=tokenizer, endless=True)
    return load(EngineOptions(folder, dtype="float32", device="cpu"))


def reference(loaded: LoadedModel, prompt: list[int], count: int) -> list[int]:
    """transformers' greedy answer. Fails where two tokens are so close that rounding could decide between them."""
    ids = torch.tensor([prompt])
    answer = loaded.model.generate(
        ids,
        attention_mask=torch.ones_like(ids),
        do_sample=False,
        max_new_tokens=count,
        return_dict_in_generate=True,
        output_logits=True,
    )
    for logits in answer.logits:
        first, second = logits[0].topk(2).values.tolist()
        assert first - second > MARGIN
    return [int(token) for token in answer.sequences[0, len(prompt) :]]
