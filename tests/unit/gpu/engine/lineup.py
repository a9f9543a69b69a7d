"""Four families of models and one more, at their smallest, and what `generate` answers with them."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    Gemma2Config,
    Gemma3TextConfig,
    LlamaConfig,
    MistralConfig,
    Qwen3Config,
)

from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.loader import LoadedModel
from tests.tiny_model import CONTEXT_LENGTH, make_tokenizer, tiny_sizes

WINDOW = 24  # tokens; smaller than most texts of the tests
GAP = 1e-3  # between the two likeliest tokens' logits: a thousand times what rounding can move

TOKENIZER = make_tokenizer()
SIZES = tiny_sizes(TOKENIZER)
CONFIGS: dict[str, Any] = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES),
    "mistral": MistralConfig(**SIZES, sliding_window=WINDOW),
    "gemma3": Gemma3TextConfig(
        **{**SIZES, "num_hidden_layers": 3},
        sliding_window=WINDOW,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"],
        query_pre_attn_scalar=8,
    ),
    "gemma2": Gemma2Config(**SIZES, sliding_window=WINDOW, query_pre_attn_scalar=8),  # with soft caps
}


@dataclass(frozen=True, slots=True)
class Reference:
    """A prompt, and the greedy answer that `generate` gives alone."""

    prompt: list[int]
    answer: list[int] = field(repr=False)


def make_model(family: str, seed: int = 0) -> Any:
    """A random model of the family, in float32 on the CPU."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(CONFIGS[family], dtype=torch.float32).eval()
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    return model


def as_loaded(model: Any, end_ids: frozenset[int] = frozenset()) -> LoadedModel:
    """The model as the loader would give it. It answers without end unless `end_ids` are given."""
    return LoadedModel(
        model=model,
        tokenizer=TOKENIZER,
        vocabulary=TokenText(TOKENIZER.backend_tokenizer),
        vocabulary_size=len(TOKENIZER),
        context_length=CONTEXT_LENGTH,
        end_ids=end_ids,
        device=model.device,
        dtype=model.dtype,
        load_seconds={},
    )


def reference(model: Any, prompt: list[int], count: int) -> Reference | None:
    """What `generate` answers; None where two tokens are so close that rounding could choose."""
    with torch.inference_mode():
        given = model.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
        )
    for logits in given.logits:
        first, second = logits[0].topk(2).values.tolist()
        if first - second < GAP:
            return None
    return Reference(prompt, given.sequences[0, len(prompt) :].tolist())


FOLDER = Path()  # a model that is given needs none
