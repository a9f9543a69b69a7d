"""Tiny random causal language models with a real tokenizer, for tests that need a model and not its sense.

`make_tiny_model` writes a folder as transformers would: a byte-level BPE tokenizer with ChatML's control
tokens and template, and a few kilobytes of random float32 weights. The same seed gives the same folder.
Its answers are noise, cover all byte values, and rarely end by themselves.
"""

from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, LlamaConfig, PreTrainedTokenizerFast

CONTROL_TOKENS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
CORPUS = ("The gate is the edge, the turbines are GPUs, and the meter between them is exact. ",) * 8
CONTEXT_LENGTH = 256


def make_tokenizer(template: str = TEMPLATE, control_tokens: tuple[str, ...] = CONTROL_TOKENS) -> Any:
    """A byte-level BPE tokenizer of some 300 tokens; the last control token ends a turn."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=list(control_tokens),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    backend.train_from_iterator(CORPUS, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, eos_token=control_tokens[-1], pad_token=control_tokens[0]
    )
    tokenizer.chat_template = template
    return tokenizer


def make_tiny_model(
    folder: Path, *, config: Any = None, tokenizer: Any = None, seed: int = 0, endless: bool = False
) -> Path:
    """Write a model with its tokenizer into `folder`; a Llama of two layers unless `config` says otherwise.

    `endless` gives the end of a turn a logit of zero, which is never the highest: greedy answers go on.
    """
    tokenizer = tokenizer or make_tokenizer()
    config = config or LlamaConfig(**tiny_sizes(tokenizer))
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    if endless:
        with torch.no_grad():
            model.get_output_embeddings().weight[tokenizer.eos_token_id] = 0
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def tiny_sizes(tokenizer: Any) -> dict[str, Any]:
    """The settings that most configurations of the Llama family share, at their smallest."""
    return {
        "vocab_size": len(tokenizer),
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 8,
        "max_position_embeddings": CONTEXT_LENGTH,
        "tie_word_embeddings": False,  # tied, a random model repeats what it reads
        "initializer_range": 0.5,  # wide, so that the answers vary and no two logits are close
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": None,
    }
