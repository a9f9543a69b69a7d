"""The shapes of the models that are measured. Their weights are random: speed does not ask what they say."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder of the Llama family. `tied`: the output layer is the embedding."""

    family: str  # transformers' model_type
    vocabulary: int
    hidden: int
    intermediate: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    tied: bool
    context: int = 2_048  # tokens

    @property
    def kv_numbers(self) -> int:
        """Keys and values of one token, in numbers."""
        return 2 * self.layers * self.kv_heads * self.head_dim


TINY = Shape("llama", 512, 32, 64, 2, 4, 2, 8, tied=True)  # for quick runs
SMALL = Shape("llama", 4_096, 256, 768, 4, 8, 4, 32, tied=True)
MEDIUM = Shape("qwen3", 16_384, 768, 2_048, 12, 12, 4, 64, tied=False)  # 99 million weights
LLAMA_8B = Shape("llama", 128_256, 4_096, 14_336, 32, 32, 8, 128, tied=False, context=8_192)
"""Llama 3.1 8B, by the config.json of its repository on the hub; without its scaling of long positions."""

SHAPES = {"tiny": TINY, "small": SMALL, "100M": MEDIUM, "8B": LLAMA_8B}
