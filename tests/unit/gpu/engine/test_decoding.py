"""One request through one model: token for token what transformers' `generate` gives, and how it ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import Gemma3TextConfig, MistralConfig, Qwen3Config

from functions.gpu.engine import decoding
from functions.gpu.engine.decoding import decode
from functions.gpu.engine.loader import LoadedModel, load
from functions.gpu.engine.protocol import Delta, Event, Finished, FinishReason, Sampling
from functions.gpu.engine.sampler import Sampler
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes
from tests.unit.gpu.engine.conftest import DEMO_MODEL

SLIDING = {"sliding_window": 16}
FAMILIES = {
    "qwen3": lambda sizes: Qwen3Config(**sizes),
    "mistral": lambda sizes: MistralConfig(**sizes, **SLIDING),
    "gemma3": lambda sizes: Gemma3TextConfig(**sizes, **SLIDING, layer_types=["sliding_attention", "full_attention"]),
}
PROMPTS = ([40, 41, 42], list(range(3, 90)), [7])


def reference(loaded: LoadedModel, prompt: list[int], count: int) -> list[int]:
    """transformers' greedy answer."""
    answer = loaded.model.generate(
        torch.tensor([prompt], device=loaded.model.device),
        attention_mask=torch.ones(1, len(prompt), dtype=torch.long, device=loaded.model.device),
        do_sample=False,
        max_new_tokens=count,
    )
    return [int(token) for token in answer[0, len(prompt) :]]


def greedy_ids(loaded: LoadedModel, prompt: list[int], count: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The token ids our decoding picks."""
    picked: list[int] = []
    pick = Sampler.pick

    def recording(self: Sampler, logits: torch.Tensor) -> int:
        picked.append(pick(self, logits))
        return picked[-1]

    with monkeypatch.context() as patch:
        patch.setattr(Sampler, "pick", recording)
        events(loaded, prompt, Sampling(max_tokens=count, temperature=0))
    return picked


def events(loaded: LoadedModel, prompt: list[int], sampling: Sampling) -> list[Event]:
    return [event for event in decode(loaded, prompt, sampling) if event is not None]


def text_of(found: list[Event]) -> str:
    return "".join(event.text for event in found if isinstance(event, Delta))


@pytest.fixture(scope="module", params=["llama", *FAMILIES])
def family(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, tiny: LoadedModel) -> Any:
    if request.param == "llama":
        return tiny
    folder = tmp_path_factory.mktemp(request.param)
    tokenizer = make_tokenizer()
    config = FAMILIES[request.param](tiny_sizes(tokenizer))
    return load(make_tiny_model(folder, config=config, tokenizer=tokenizer), dtype="float32", device="cpu")


@pytest.mark.parametrize("chunk", [5, 256])
@pytest.mark.parametrize("prompt", PROMPTS, ids=["three", "many", "one"])
def test_greedy_is_what_generate_gives(
    family: LoadedModel, prompt: list[int], chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoding, "PREFILL_CHUNK", chunk)
    expected = reference(family, prompt, 60)
    assert greedy_ids(family, prompt, 60, monkeypatch) == expected
    assert len(set(expected)) > 3  # a model that says one thing for ever would show nothing


def test_the_demo_model_answers_as_with_generate(monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = load(DEMO_MODEL, dtype="float32", device="cpu")
    chat = [{"role": "user", "content": "Hello! What is Penstock?"}]
    prompt = loaded.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False)
    assert greedy_ids(loaded, prompt, 80, monkeypatch) == reference(loaded, prompt, 80)


@pytest.mark.gpu
def test_a_gpu_answers_as_the_cpu_does(tiny: LoadedModel, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    on_gpu = load(tiny_folder, dtype="float32", device="cuda")
    for prompt in PROMPTS:
        assert greedy_ids(on_gpu, prompt, 60, monkeypatch) == reference(tiny, prompt, 60)


def test_text_is_the_decode_of_all_ids_and_every_token_is_counted(tiny: LoadedModel) -> None:
    found = events(tiny, PROMPTS[1], Sampling(max_tokens=60, temperature=0))
    assert text_of(found) == tiny.tokenizer.decode(reference(tiny, PROMPTS[1], 60), skip_special_tokens=True)
    counts = [event.completion_tokens for event in found if isinstance(event, Delta)]
    assert counts[:-1] == list(range(1, len(counts)))
    assert isinstance(found[-1], Finished)
    assert found[-1].completion_tokens == counts[-1]


def with_end(loaded: LoadedModel, token: int) -> LoadedModel:
    return replace(loaded, end_ids=frozenset({token}))


def test_an_end_token_is_counted_and_has_no_text(tiny: LoadedModel) -> None:
    answer = reference(tiny, PROMPTS[0], 60)
    position = next(i for i in range(5, 60) if answer[i] not in answer[:i])
    found = events(with_end(tiny, answer[position]), PROMPTS[0], Sampling(max_tokens=60, temperature=0))
    assert found[-1] == Finished(FinishReason.STOP, position + 1)
    assert text_of(found) == tiny.tokenizer.decode(answer[:position], skip_special_tokens=True)


def test_max_tokens_ends_with_length(tiny: LoadedModel) -> None:
    found = events(tiny, PROMPTS[0], Sampling(max_tokens=4, temperature=0))
    assert found[-1] == Finished(FinishReason.LENGTH, 4)


def test_the_whole_context_can_be_used(tiny: LoadedModel) -> None:
    count = tiny.context_length - len(PROMPTS[1])
    endless = with_end(tiny, -1)
    found = events(endless, PROMPTS[1], Sampling(max_tokens=count, temperature=0))
    assert found[-1] == Finished(FinishReason.LENGTH, count)


@pytest.mark.parametrize("length", [1, 3, 7])
@pytest.mark.parametrize("start", [0, 6, 11])
def test_a_stop_string_ends_the_text_before_it(tiny: LoadedModel, start: int, length: int) -> None:
    whole = text_of(events(tiny, PROMPTS[0], Sampling(max_tokens=60, temperature=0)))
    stop = whole[start : start + length]
    found = events(tiny, PROMPTS[0], Sampling(max_tokens=60, temperature=0, stop=("never said", stop)))
    assert text_of(found) == whole[: whole.index(stop)]
    assert isinstance(found[-1], Finished)
    assert found[-1].reason == FinishReason.STOP
    assert found[-1].completion_tokens <= 60


def test_a_beginning_of_a_stop_string_leaves_at_the_end(tiny: LoadedModel) -> None:
    plain = Sampling(max_tokens=12, temperature=0)
    whole = text_of(events(tiny, PROMPTS[0], plain))
    waiting = Sampling(max_tokens=12, temperature=0, stop=(whole[-3:] + "and more",))
    assert text_of(events(tiny, PROMPTS[0], waiting)) == whole


def test_a_seed_repeats_an_answer(tiny: LoadedModel) -> None:
    sampling = Sampling(max_tokens=40, temperature=1.3, top_p=0.9, seed=11)
    assert events(tiny, PROMPTS[0], sampling) == events(tiny, PROMPTS[0], sampling)
    others = {text_of(events(tiny, PROMPTS[0], Sampling(max_tokens=40, seed=seed))) for seed in range(4)}
    assert len(others) == 4
