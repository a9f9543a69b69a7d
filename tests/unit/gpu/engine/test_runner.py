"""Models on pages: the same logits as transformers gives, and one line where attention is of another kind."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import (
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GptOssConfig,
    Llama4TextConfig,
    LlamaConfig,
    MistralConfig,
    MixtralConfig,
    PhimoeConfig,
    Qwen3Config,
    Qwen3MoeConfig,
)

from functions.gpu.engine import varlen
from functions.gpu.engine.attention import NAME
from functions.gpu.engine.loader import LoadedModel
from functions.gpu.engine.protocol import ModelUnreadable, Sampling
from functions.gpu.engine.runner import Runner
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence
from functions.gpu.engine.varlen import VarlenAttention
from tests.unit.gpu.engine import paged
from tests.unit.gpu.engine.paged import SIZES
from tests.unit.gpu.engine.test_varlen import plain_varlen

MIXTURE = {"num_experts_per_tok": 2, "moe_intermediate_size": 16}
KNOWN: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaConfig(**SIZES),
    "qwen3": lambda: Qwen3Config(**SIZES),
    "mistral": lambda: MistralConfig(**SIZES, sliding_window=7),
    "gemma 2": lambda: Gemma2Config(**SIZES, sliding_window=7, attn_logit_softcapping=2.0, query_pre_attn_scalar=8),
    "gemma 3": lambda: Gemma3TextConfig(**SIZES, sliding_window=7, query_pre_attn_scalar=8),
    "mixtral": lambda: MixtralConfig(**SIZES, num_local_experts=4),
    "qwen3 moe": lambda: Qwen3MoeConfig(**SIZES, **MIXTURE, num_experts=4),
}
UNKNOWN: dict[str, Callable[[], Any]] = {
    "sinks": lambda: GptOssConfig(**SIZES, num_local_experts=4, sliding_window=7),
    "alibi": lambda: FalconConfig(
        vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, alibi=True, initializer_range=0.3
    ),
    "a window in the mask alone": lambda: PhimoeConfig(**SIZES, sliding_window=100, num_local_experts=4),
    "chunks": lambda: Llama4TextConfig(
        **SIZES, attention_chunk_size=100, num_local_experts=2, intermediate_size_mlp=48
    ),
    "both ways": lambda: Gemma3TextConfig(**SIZES, query_pre_attn_scalar=8, use_bidirectional_attention=True),
}


@torch.inference_mode()
def logits_in_steps(runner: Runner, one: Sequence, chunks: list[int], others: list[Sequence]) -> Any:
    """A sequence's logits at each chunk's end, read beside others that decode."""
    paged.read(runner, others)
    found, start = [], 0
    for end in chunks:
        rows = [*(Row(other, len(other) - 1, len(other)) for other in others), Row(one, start, end)]
        found.append(runner.run(rows, len(others)))
        start = end
    return found[-1].logits.clone()


@torch.inference_mode()
@pytest.mark.parametrize("kind", KNOWN)
@pytest.mark.parametrize("page_tokens", [1, 16])
def test_a_model_on_pages_says_what_it_says_alone(kind: str, page_tokens: int) -> None:
    model = paged.loaded(KNOWN[kind]())
    pages = list(range(150 // page_tokens))
    one, other, short = (paged.sequence([], length, length) for length in (47, 33, 2))
    for sequence in (one, other, short):
        sequence.pages = [pages.pop() for _ in range(-(-len(sequence) // page_tokens))]
    expected = torch.stack([paged.alone(model.model, sequence) for sequence in (other, short, one)])
    runner = paged.runner_on(model, paged.cache_for(model, 150, page_tokens))
    logits = logits_in_steps(runner, one, [5, 6, 40, 47], [other, short])
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


@torch.inference_mode()
@pytest.mark.parametrize("kind", [kind for kind in KNOWN if kind != "gemma 2"])  # it has a soft cap
def test_a_model_on_the_kernel_for_cuda_says_what_it_says_alone(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(varlen, "varlen_attn", plain_varlen)
    model = paged.loaded(KNOWN[kind]())
    one, other, short = paged.sequence([3, 0], 300), paged.sequence([5, 1], 257, 1), paged.sequence([2], 2, 2)
    expected = torch.stack([paged.alone(model.model, sequence) for sequence in (other, short, one)])
    runner = paged.runner_on(model, paged.cache_for(model, 6), VarlenAttention())
    logits = logits_in_steps(runner, one, [100, 256, 300], [other, short])
    torch.testing.assert_close(logits, expected, rtol=1e-3, atol=1e-3)


def prove(model: LoadedModel, page_tokens: int = 16) -> None:
    """On memory that holds anything."""
    cache = paged.cache_for(model, 30, page_tokens)
    for tensor in (*cache.keys, *cache.values):
        tensor.fill_(torch.nan)
    with torch.inference_mode():
        Runner(model, cache).prove()


@pytest.mark.parametrize("kind", KNOWN)
def test_attention_that_we_have_is_prove(kind: str) -> None:
    prove(paged.loaded(KNOWN[kind]()))


@pytest.mark.parametrize(("pages", "page_tokens"), [(3, 1), (2, 4)])
def test_a_pool_smaller_than_the_trial_is_enough(pages: int, page_tokens: int) -> None:
    model = paged.loaded()
    with torch.inference_mode():
        Runner(model, paged.cache_for(model, pages, page_tokens)).prove()


def test_a_trial_leaves_windows_as_they_were() -> None:
    model = paged.loaded(Gemma3TextConfig(**SIZES, sliding_window=100, query_pre_attn_scalar=8))
    prove(model)
    assert model.model.config.sliding_window == 100
    assert {layer.self_attn.sliding_window for layer in model.model.model.layers} <= {100, None}


def test_a_window_that_holds_the_longest_text_is_none() -> None:
    """Though the model keeps it in its mask alone, no text outgrows it."""
    prove(paged.loaded(PhimoeConfig(**SIZES, sliding_window=SIZES["max_position_embeddings"], num_local_experts=4)))


@pytest.mark.parametrize("kind", UNKNOWN)
def test_attention_that_we_do_not_have_is_refused(kind: str) -> None:
    with pytest.raises(ModelUnreadable, match=r"^(the engine cannot run )?this model's[^\n]+$"):
        prove(paged.loaded(UNKNOWN[kind]()))


@pytest.mark.parametrize("fault", ["a bias", "another scale", "an error", "not a number"])
def test_attention_that_is_changed_is_refused(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What attention on pages gives, of one layer, is not what the model's own does."""
    model = paged.loaded()
    attention = model.model.model.layers[0].self_attn
    own = attention.forward

    def forward(**states: Any) -> Any:
        output, weights = own(**states)
        if model.model.config._attn_implementation != NAME:
            return output, weights
        if fault == "an error":
            raise RuntimeError("no such kernel\nand more lines of it")
        return {"a bias": output + 1, "another scale": output * 1.1, "not a number": output * torch.nan}[fault], weights

    monkeypatch.setattr(attention, "forward", forward)
    with pytest.raises(ModelUnreadable, match=r"^(the engine cannot run )?this model's[^\n]+$"):
        prove(model)


@torch.inference_mode()
def test_logits_of_every_position_where_the_prompts_probabilities_are_wanted() -> None:
    model = paged.loaded()
    ids = paged.ids_of(paged.sequence([], 20))
    expected = model.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    runner = paged.runner_on(model, paged.cache_for(model))
    computed = runner.run([Row(Sequence(ids, Sampling(max_tokens=1, prompt_logprobs=0), pages=[4]), 0, 20)], 0)
    torch.testing.assert_close(computed.logits, expected, rtol=1e-4, atol=1e-4)


@torch.inference_mode()
def test_hidden_states_only_where_some_row_embeds() -> None:
    model = paged.loaded()
    one = paged.sequence([0], 9)
    expected = model.model.model(input_ids=torch.tensor([paged.ids_of(one)]), use_cache=False).last_hidden_state[0]
    runner = paged.runner_on(model, paged.cache_for(model))
    assert runner.run([Row(one, 0, 9)], 0).hidden is None
    one.embeds = True
    computed = runner.run([Row(one, 0, 9)], 0)
    torch.testing.assert_close(computed.hidden, expected, rtol=1e-4, atol=1e-4)
    assert computed.logits.shape == (0, SIZES["vocab_size"])


@pytest.mark.gpu
@torch.inference_mode()
@pytest.mark.parametrize("kind", KNOWN)
def test_greedy_answers_on_a_gpu_are_those_of_generate(kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = paged.loaded(KNOWN[kind](), device="cuda")
    one = paged.sequence([2, 0], 250)
    prompt = torch.tensor([paged.ids_of(one)], device="cuda")
    options: dict[str, Any] = {"do_sample": False, "max_new_tokens": 20, "eos_token_id": None, "pad_token_id": 0}
    expected = model.model.generate(prompt, **options)[0, 250:].tolist()
    runner = paged.runner_on(model, paged.cache_for(model))
    paged.read(runner, [one])
    for _ in range(20):
        one.output.append(int(paged.decode(runner, [one])[0].argmax()))
    assert one.output[1:] == expected


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KNOWN)
def test_attention_is_proven_on_a_gpu(kind: str) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    prove(paged.loaded(KNOWN[kind](), device="cuda", dtype=torch.bfloat16), 256)
