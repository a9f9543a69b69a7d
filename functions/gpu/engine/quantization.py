"""Weights in 8 bits: half the memory of bfloat16, a quarter of float32.

Each row of a linear layer's weight becomes integers and one scale, the row's largest absolute value over 127,
so that a weight is off by half a scale at most. Activations stay as they are. The embedding stays too, and so
does an output layer that is tied to it: two copies would cost what they save. A layer's weight is widened
again at each step: this buys memory, not speed.
"""

from typing import Any

import torch

from functions.gpu.engine.protocol import ModelUnreadable


def quantize(model: Any, device: Any) -> None:
    """Quantize a model in place, one layer after another on `device`, where all of it is afterwards.

    Only one layer at a time is on the device at its old width. Raises ModelUnreadable.
    """
    if getattr(model.config, "quantization_config", None) is not None:
        raise ModelUnreadable("the weights are quantized already")
    if model.dtype == torch.float16:
        # torchao applies the scales to the sums, and sums of 127 times the activations pass 65,504.
        raise ModelUnreadable("int8 weights overflow in float16: ask for bfloat16 or float32")
    # Late: it would write to standard error if the loader had not silenced it first.
    try:
        from torchao.quantization import Int8WeightOnlyConfig, quantize_  # noqa: PLC0415
    except ImportError as error:
        raise ModelUnreadable("weights in 8 bits need torchao: install the `int8` extra") from error

    embedding = model.get_input_embeddings().weight

    def untied(module: Any, _: str) -> bool:
        return isinstance(module, torch.nn.Linear) and module.weight is not embedding

    # Its settings of torch's compiler would be the whole process's, and nothing is compiled here.
    quantize_(model, Int8WeightOnlyConfig(set_inductor_config=False), untied, device=device)
    model.to(device)
