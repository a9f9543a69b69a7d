"""Tiny random models on pages, and a script of steps that a runner must compute as the model alone does."""

from typing import Any, cast

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from functions.gpu.engine import runner as runner_module
from functions.gpu.engine.attention import NAME, Attention
from functions.gpu.engine.kv_cache import KvCache, Shape
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.runner import Runner
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence

SIZES: dict[str, Any] = {
    "vocab_size": 97,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    "initializer_range": 0.3,
    "pad_token_id": 96,  # an embedding of zeros: no test uses it
    "bos_token_id": 1,
    "eos_token_id": 2,
}


def loaded(config: Any = None, *, device: str = "cpu", dtype: Any = torch.float32) -> LoadedModel:
    """A model of random weights, the same each time; one that needs no tokenizer."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config or LlamaConfig(**SIZES), dtype=torch.float32)
    model = model.eval().to(device, dtype)
    return LoadedModel(
        model=model,
        tokenizer=None,
        vocabulary=cast("Any", None),
        vocabulary_size=SIZES["vocab_size"],
        context_length=SIZES["max_position_embeddings"],
        end_ids=frozenset(),
        device=torch.device(device),
        dtype=dtype,
        load_seconds={},
    )


def cache_for(model: LoadedModel, pages: int = 12, page_tokens: int = 256) -> KvCache:
    """Pages that are zero, as a step makes those that it takes."""
    cache = KvCache(Shape.of(model.model.config.get_text_config(), page_tokens, model.dtype), pages, model.device)
    cache.wipe(list(range(pages)))
    return cache


def runner_on(model: LoadedModel, cache: KvCache, attention: Attention | None = None) -> Runner:
    """A runner whose model attends to pages already; to those of `attention` where it is given."""
    with pytest.MonkeyPatch.context() as patch:
        if attention is not None:
            patch.setattr(runner_module, "choose_attention", lambda *_: attention)
        runner = Runner(model, cache)
    model.model.set_attn_implementation(NAME)
    return runner


def sequence(pages: list[int], length: int, seed: int = 0) -> Sequence:
    """A sequence of random tokens, the last of which is its answer's."""
    dice = torch.Generator().manual_seed(seed)
    ids = torch.randint(SIZES["pad_token_id"], (length,), generator=dice).tolist()
    return Sequence(ids[:-1], Sampling(max_tokens=1), output=ids[-1:], pages=pages)


def ids_of(one: Sequence) -> list[int]:
    return one.tokens(0, len(one))


def read(runner: Runner, sequences: list[Sequence]) -> None:
    """Compute all but the last token of each."""
    runner.run([Row(one, 0, len(one) - 1) for one in sequences], 0)


def decode(runner: Runner, sequences: list[Sequence]) -> Any:
    """The logits behind the last token of each, [N, vocabulary]; the longest comes first."""
    return runner.run([Row(one, len(one) - 1, len(one)) for one in sequences], len(sequences)).logits.clone()


def alone(model: Any, one: Sequence) -> Any:
    """The same of the model as transformers runs it, [vocabulary]."""
    ids = torch.tensor([ids_of(one)], device=model.device)
    return model(input_ids=ids, use_cache=False).logits[0, -1]
