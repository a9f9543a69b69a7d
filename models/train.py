"""Trains the demo model from synthetic dialogues and writes it to a folder that transformers can load.

    python -m models.train --steps 4000 --threads 2 --out models/demo

The same steps, seed and thread count give the same weights on the same machine and torch. Only answers
are learned, never questions. Muon steers the matrices and AdamW the rest, in bfloat16 where that is safe.
"""

import argparse
import math
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from random import Random

import torch
from tokenizers import Tokenizer, decoders, pre_tokenizers, trainers
from tokenizers.models import BPE
from torch import Tensor
from torch.nn import functional
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from models.dialogues.chat import ALL, COPYING, Mixture, Turn, dialogue

SEED = 20
VOCABULARY = 1792  # tokens: 256 bytes, 6 special ones, the rest learned
CONTEXT = 1024  # tokens
PAD, BEGIN, END = "<|pad|>", "<|begin|>", "<|end|>"
ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
SPECIAL = (PAD, BEGIN, END, *ROLES)
TEMPLATE = Path(__file__).with_name("chat_template.jinja")
IGNORED = -100  # a label that is not learned
BATCH_TOKENS = 2048  # of a step, padding included
SORTED = 1024  # dialogues drawn at once, so that a batch holds ones of like length
WARM_UP = 60  # steps
SAVED = 500  # steps from one save to the next
STEPS = 4000
FIRST = 700  # steps that teach to copy


def learn_tokenizer(rng: Random) -> PreTrainedTokenizerFast:
    """A byte-level BPE, so that any text has tokens; every digit stands alone, which is what sums need."""
    texts = (turn.content for _ in range(6000) for turn in dialogue(rng))
    bpe = Tokenizer(BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    bpe.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY, special_tokens=list(SPECIAL), initial_alphabet=alphabet, show_progress=False
        ),
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token=BEGIN,
        eos_token=END,
        pad_token=PAD,
        additional_special_tokens=list(ROLES),
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    tokenizer.chat_template = TEMPLATE.read_text()
    return tokenizer


def new_model(tokenizer: PreTrainedTokenizerFast) -> LlamaForCausalLM:
    """A Llama of some three million parameters, its embeddings shared with its head."""
    begin, end, pad = tokenizer.convert_tokens_to_ids([BEGIN, END, PAD])
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=192,
            intermediate_size=512,
            num_hidden_layers=7,
            num_attention_heads=6,
            num_key_value_heads=3,
            head_dim=32,
            max_position_embeddings=CONTEXT,
            tie_word_embeddings=True,
            bos_token_id=begin,
            eos_token_id=end,
            pad_token_id=pad,
        )
    )


class Reader:
    """Turns dialogues into token ids and labels, as the chat template would lay them out."""

    def __init__(self, tokenizer: PreTrainedTokenizerFast) -> None:
        self._tokenizer = tokenizer
        self._begin, self._end = tokenizer.convert_tokens_to_ids([BEGIN, END])
        self._roles = {role.strip("<|>"): tokenizer.convert_tokens_to_ids(role) for role in ROLES}
        self._known: dict[str, list[int]] = {}

    def read(self, turns: list[Turn]) -> tuple[list[int], list[int]]:
        """Ids and labels of one dialogue, cut at the context."""
        ids, labels = [self._begin], [IGNORED]
        for turn in turns:
            text = [*self._ids(turn.content), self._end]
            ids += [self._roles[turn.role], *text]
            labels += [IGNORED, *(text if turn.learn else [IGNORED] * len(text))]
        return ids[:CONTEXT], labels[:CONTEXT]

    def _ids(self, text: str) -> list[int]:
        if text not in self._known:
            ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            if len(self._known) > 200_000:
                self._known.clear()
            self._known[text] = ids
        return self._known[text]


def batches(reader: Reader, rng: Random, mixture: Mixture = ALL) -> Iterator[tuple[Tensor, Tensor]]:
    """Endless batches `[dialogues, tokens]` of ids and labels, padded on the right."""
    while True:
        drawn = sorted((reader.read(dialogue(rng, mixture)) for _ in range(SORTED)), key=lambda pair: len(pair[0]))
        heaps: list[list[tuple[list[int], list[int]]]] = [[]]
        for pair in drawn:
            if (len(heaps[-1]) + 1) * len(pair[0]) > BATCH_TOKENS and heaps[-1]:
                heaps.append([])
            heaps[-1].append(pair)
        rng.shuffle(heaps)
        yield from map(_padded, heaps)


def lessons(reader: Reader, rng: Random) -> Iterator[tuple[Tensor, Tensor]]:
    """First the batches that teach to copy, then those of everything."""
    yield from islice(batches(reader, rng, COPYING), FIRST)
    yield from batches(reader, rng)


def _padded(heap: list[tuple[list[int], list[int]]]) -> tuple[Tensor, Tensor]:
    width = max(len(ids) for ids, _ in heap)
    ids = torch.tensor([ids + [0] * (width - len(ids)) for ids, _ in heap])
    labels = torch.tensor([labels + [IGNORED] * (width - len(labels)) for _, labels in heap])
    return ids, labels


def loss_of(model: LlamaForCausalLM, ids: Tensor, labels: Tensor) -> Tensor:
    """Mean cross entropy over the learned tokens only: the head is not run on any other."""
    with torch.autocast("cpu", dtype=torch.bfloat16):
        hidden = model.model(input_ids=ids).last_hidden_state[:, :-1]
        learned = labels[:, 1:] != IGNORED
        scores = functional.linear(hidden[learned], model.lm_head.weight)
    return functional.cross_entropy(scores.float(), labels[:, 1:][learned])


@dataclass
class Optimizers:
    """Muon for the matrices inside the layers, AdamW for embeddings and norms, on one schedule."""

    muon: torch.optim.Muon
    adamw: torch.optim.AdamW

    @classmethod
    def of(cls, model: LlamaForCausalLM) -> "Optimizers":
        """Optimizers over all of a model's parameters."""
        matrices = [weight for name, weight in model.named_parameters() if weight.ndim == 2 and "embed" not in name]
        others = [weight for name, weight in model.named_parameters() if weight.ndim != 2 or "embed" in name]
        return cls(
            torch.optim.Muon(matrices, lr=0.02, weight_decay=0.01),
            torch.optim.AdamW(others, lr=3e-3, betas=(0.9, 0.98), weight_decay=0.0),
        )

    def step(self, share: float) -> None:
        """One step at a share of the full rates; gradients are cleared after it."""
        for optimizer, full in ((self.muon, 0.02), (self.adamw, 3e-3)):
            for group in optimizer.param_groups:
                group["lr"] = full * share
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)


def rate(step: int, steps: int) -> float:
    """The share of the full learning rate: a short climb, then a cosine down to nothing."""
    return min(1.0, (step + 1) / WARM_UP) * 0.5 * (1 + math.cos(math.pi * step / steps))


def learn(model: LlamaForCausalLM, source: Iterator[tuple[Tensor, Tensor]], steps: int) -> Iterator[int]:
    """Takes steps, and yields the number taken after each; prints how it goes."""
    optimizers = Optimizers.of(model)
    started, average, tokens = time.monotonic(), 0.0, 0
    for step in range(steps):
        ids, labels = next(source)
        loss = loss_of(model, ids, labels)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizers.step(rate(step, steps))
        average = loss.item() if step == 0 else 0.97 * average + 0.03 * loss.item()
        tokens += ids.numel()
        if (step + 1) % 50 == 0:
            seconds = time.monotonic() - started
            speed = f"{tokens / seconds:,.0f} tokens/s  {seconds / 60:.1f} min"
            print(f"step {step + 1}/{steps}  loss {average:.4f}  {speed}", flush=True)
        yield step + 1


def train(steps: int, out: Path) -> None:
    """Trains for a number of steps and writes the result, and what there is on the way."""
    torch.manual_seed(SEED)
    rng = Random(SEED)
    tokenizer = learn_tokenizer(rng)
    model = new_model(tokenizer)
    for taken in learn(model, lessons(Reader(tokenizer), rng), steps):
        if taken % SAVED == 0 or taken == steps:
            save(model, tokenizer, out)


def save(model: LlamaForCausalLM, tokenizer: PreTrainedTokenizerFast, out: Path) -> None:
    """Writes the model in bfloat16 beside its place, then moves each file into it at once."""
    fresh = out.with_name(out.name + ".new")
    begin, end, pad = tokenizer.convert_tokens_to_ids([BEGIN, END, PAD])
    copy = LlamaForCausalLM(model.config)
    copy.load_state_dict(model.state_dict())
    settings = copy.generation_config
    settings.bos_token_id, settings.eos_token_id, settings.pad_token_id = begin, end, pad
    copy.to(torch.bfloat16).save_pretrained(fresh)
    tokenizer.save_pretrained(fresh)
    out.mkdir(parents=True, exist_ok=True)
    for file in sorted(fresh.iterdir()):
        file.chmod(0o644)
        file.replace(out / file.name)
    shutil.rmtree(fresh)


def main() -> None:
    """Reads the command line and trains."""
    parser = argparse.ArgumentParser(description="Train the demo model.")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("demo"))
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    train(chosen.steps, chosen.out)


if __name__ == "__main__":
    main()
