"""A model with random weights, and a tokenizer of made-up words: what every contender is given.

Logits are sharpened, so that the likeliest token is so by more than rounding. Every word ends with a space:
transformers' streamers hold text back until a word is complete, and with this they never have to. Tokens that
are no words (the end of a text, single bytes) have faint logits, which are never the highest: no greedy answer
ends by itself.
"""

from itertools import islice, product
from string import ascii_lowercase
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

from benchmarks.engine.shapes import Shape
from functions.gpu.engine.detokenizer import TokenText
from functions.gpu.engine.loader import LoadedModel

END = "<|end|>"
FIRST_WORD = 1 + 256  # the ids before are the end of a text and the bytes
_SPACE = "Ġ"  # in GPT-2's alphabet of bytes
_SHARPER, _FAINTER = 3.0, 0.1
_TEMPLATE = "{% for message in messages %}{{ message['content'] }}" + END + "{% endfor %}"


def make_model(shape: Shape, *, dtype: Any = torch.float32, device: str = "cpu", seed: int = 0) -> Any:
    """A causal language model, created on the device."""
    return make_causal_lm(_config(shape), dtype=dtype, device=device, seed=seed)


def make_causal_lm(config: Any, *, dtype: Any, device: str, seed: int = 0) -> Any:
    """The model of a transformers configuration; the same on every call."""
    logging.set_verbosity_error()
    torch.manual_seed(seed)
    with torch.device(device):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype).eval()
    with torch.no_grad():
        output = model.get_output_embeddings().weight
        output.mul_(_SHARPER)
        output[:FIRST_WORD].mul_(_FAINTER)
    model.generation_config.update(eos_token_id=None, bos_token_id=None, pad_token_id=0)
    return model


def make_tokenizer(vocabulary: int) -> Any:
    """A byte-level tokenizer of so many tokens."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ("".join(letters) + _SPACE for letters in product(ascii_lowercase, repeat=4))
    tokens = [END, *letters, *islice(words, vocabulary - FIRST_WORD)]
    backend = Tokenizer(models.BPE({token: number for number, token in enumerate(tokens)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, eos_token=END, pad_token=END)
    tokenizer.chat_template = _TEMPLATE
    return tokenizer


def loaded(model: Any, tokenizer: Any, context_length: int) -> LoadedModel:
    """What the loader would make of it, without the way over the disk."""
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        vocabulary=TokenText(tokenizer.backend_tokenizer),
        vocabulary_size=len(tokenizer),
        context_length=context_length,
        end_ids=frozenset({tokenizer.eos_token_id}),
        device=model.device,
        dtype=model.dtype,
        load_seconds={},
    )


def _config(shape: Shape) -> Any:
    return AutoConfig.for_model(
        shape.family,
        vocab_size=shape.vocabulary,
        hidden_size=shape.hidden,
        intermediate_size=shape.intermediate,
        num_hidden_layers=shape.layers,
        num_attention_heads=shape.heads,
        num_key_value_heads=shape.kv_heads,
        head_dim=shape.head_dim,
        max_position_embeddings=shape.context,
        tie_word_embeddings=shape.tied,
        eos_token_id=None,
        bos_token_id=None,
    )
