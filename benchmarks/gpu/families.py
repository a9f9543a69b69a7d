"""Tiny models of four families: plain, with normed queries, with a sliding window, with both kinds of layers."""

from typing import Any

from transformers import AutoConfig

VOCABULARY = 1_024
CONTEXT = 1_024
HEAD_DIM, KV_HEADS, LAYERS = 64, 2, 2
_SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": KV_HEADS,
    "head_dim": HEAD_DIM,
    "max_position_embeddings": CONTEXT,
    "tie_word_embeddings": False,  # tied, a random model repeats what it reads
    "initializer_range": 0.1,  # wide, so that answers vary
    "eos_token_id": None,
    "bos_token_id": None,
}
NAMES = ("llama", "qwen3", "mistral", "gemma3")


def family_config(name: str, window: int) -> Any:
    """The configuration of one; `window` is in tokens, where the family has one."""
    if name == "mistral":
        return AutoConfig.for_model(name, sliding_window=window, **_SIZES)
    if name == "gemma3":
        layers = ["sliding_attention", "full_attention"]
        return AutoConfig.for_model("gemma3_text", sliding_window=window, layer_types=layers, **_SIZES)
    return AutoConfig.for_model(name, **_SIZES)
