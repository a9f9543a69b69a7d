"""Which rotary embeddings a batch of many sequences can have.

Some kinds choose their frequencies by the longest sequence they see (`dynamic_rope_update` in transformers).
In a batch that is a neighbour's, whose presence would change the others' answers: such a model is refused.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from functions.gpu.engine.protocol import ModelUnreadable


def check_rope(config: Any, context_length: int) -> None:
    """Refuse a configuration whose frequencies change within the context. Raises ModelUnreadable."""
    for parameters in _rope_parameters(config.get_text_config()):
        kind = parameters.get("rope_type") or "default"
        if "dynamic" in kind:
            raise ModelUnreadable(f"rope type {kind!r} changes with the longest sequence of a batch")
        if kind == "longrope" and context_length > (short := parameters["original_max_position_embeddings"]):
            raise ModelUnreadable(
                f"rope type 'longrope' changes with the longest sequence of a batch over {short} tokens: "
                f"a context_length of at most {short} makes this model loadable"
            )


def _rope_parameters(config: Any) -> Iterator[Mapping[str, Any]]:
    """The parameters of all layers, or those of each type of layer."""
    parameters = getattr(config, "rope_parameters", None) or {}
    yield parameters
    yield from (of_type for of_type in parameters.values() if isinstance(of_type, Mapping))
