"""A checkpoint's weights into a model.

Promises that every weight comes from the folder, none twice in memory and none at random, and that every
parameter and buffer is bit for bit what transformers' `from_pretrained` gives. On a GPU, each tensor goes there
as it is read, without a copy of the model in main memory.

How: the model is built on the meta device, where tensors have shapes and no memory, and the tensors of the
memory-mapped files are put into it. So on the CPU, weights that have the wanted dtype already stay in the
files: those may be replaced or unlinked while the model lives, but not be cut short or written over.
"""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoModelForCausalLM, GenerationConfig
from transformers.conversion_mapping import get_model_conversion_mapping
from transformers.core_model_loading import WeightConverter
from transformers.initialization import meta_device_safe_creation_ops

from functions.gpu.engine.checkpoint import weight_files
from functions.gpu.engine.protocol import ModelUnreadable

LOCAL = {"local_files_only": True, "trust_remote_code": False}  # no network, and no code from the folder

Weights = dict[str, Any]  # the open file of each weight's name


def read_model(folder: Path, config: Any, dtype: Any, device: Any) -> Any:
    """The model of a folder on `device`, ready for inference. Raises ModelUnreadable.

    `dtype` is a torch.dtype, or None for the weights' own.
    """
    with ExitStack() as files:
        weights = _open(weight_files(folder), device, files)
        model = _hollow(config, dtype or _own_dtype(config, weights))
        if not _fits(model, weights):
            return _converted(folder, config, model.dtype).to(device)
        _fill(model, weights)
    _compute_buffers(model, device)
    _check_whole(model)
    if (folder / "generation_config.json").exists():
        model.generation_config = GenerationConfig.from_pretrained(folder, local_files_only=True)
    return model.requires_grad_(False).eval()


def _open(paths: tuple[Path, ...], device: Any, files: ExitStack) -> Weights:
    """Memory-map the files, until `files` is closed; tensors that were read outlive it."""
    weights: Weights = {}
    for path in paths:
        file = files.enter_context(safe_open(path, framework="pt", device=str(device)))
        weights |= dict.fromkeys(file.keys(), file)
    return weights


def _own_dtype(config: Any, weights: Weights) -> Any:
    """What the configuration says, or what the first weight has."""
    said = config.dtype or config.get_text_config().dtype
    return said or next((file.get_tensor(name).dtype for name, file in weights.items()), torch.float32)


def _hollow(config: Any, dtype: Any) -> Any:
    """The model without memory for its weights."""
    with torch.device("meta"), meta_device_safe_creation_ops():
        return AutoModelForCausalLM.from_config(config, dtype=dtype, trust_remote_code=False)


def _fits(model: Any, weights: Weights) -> bool:
    """Whether each weight can be taken as it is; all but those that are tied to others must be there.

    Otherwise transformers' own way is taken, which renames, splits and fuses the weights of older checkpoints
    and of mixtures of experts, reads quantized ones, keeps some in float32, and says what is missing.
    """
    if getattr(model.config, "quantization_config", None) is not None:
        return False
    if any(isinstance(change, WeightConverter) for change in get_model_conversion_mapping(model)):
        return False
    if model._get_dtype_plan(model.dtype):  # noqa: SLF001  (what from_pretrained goes by)
        return False
    wanted = model.state_dict().keys()
    return weights.keys() <= wanted and wanted - weights.keys() <= model.all_tied_weights_keys.keys()


def _fill(model: Any, weights: Weights) -> None:
    """Put the weights into the model, in its dtypes, and tie what shares one."""
    wanted = model.state_dict()
    shapes = {name: tuple(file.get_slice(name).get_shape()) for name, file in weights.items()}
    if misshapen := {name for name, shape in shapes.items() if shape != tuple(wanted[name].shape)}:
        raise ModelUnreadable(f"{_some(misshapen)} of another shape than the configuration says")
    tensors = {name: file.get_tensor(name).to(wanted[name].dtype) for name, file in weights.items()}
    missing = model.load_state_dict(tensors, strict=False, assign=True).missing_keys
    model.tie_weights(missing_keys=set(missing), recompute_mapping=False)


def _compute_buffers(model: Any, device: Any) -> None:
    """Let transformers compute what no checkpoint has, such as the frequencies of rotary embeddings."""
    for tensor in (*model.parameters(), *model.buffers()):
        tensor._is_hf_initialized = True  # noqa: SLF001  (how transformers knows what to leave alone)
    for name, buffer in [*model.named_non_persistent_buffers()]:
        owner, _, key = name.rpartition(".")
        empty = torch.full_like(buffer, float("nan") if buffer.is_floating_point() else 0, device=device)
        model.get_submodule(owner).register_buffer(key, empty, persistent=False)
    model.initialize_weights()


def _check_whole(model: Any) -> None:
    """Refuse a model in which something has no value."""
    tensors = (*model.named_parameters(), *model.named_buffers())
    if hollow := {name for name, tensor in tensors if tensor.is_meta}:
        raise ModelUnreadable(f"{_some(hollow)} missing")
    if unknown := {name for name, buffer in model.named_non_persistent_buffers() if buffer.isnan().any()}:
        raise ModelUnreadable(f"{_some(unknown)} in no checkpoint, and transformers does not compute it")


def _converted(folder: Path, config: Any, dtype: Any) -> Any:
    """The model as transformers reads it."""
    model, report = AutoModelForCausalLM.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        use_safetensors=True,
        ignore_mismatched_sizes=True,  # reported below, in a line of ours
        output_loading_info=True,
        **LOCAL,
    )
    if missing := report["missing_keys"]:  # transformers filled them with random numbers
        raise ModelUnreadable(f"{_some(missing)} missing")
    if mismatched := {name for name, *_ in report["mismatched_keys"]}:
        raise ModelUnreadable(f"{_some(mismatched)} of another shape than the configuration says")
    if unexpected := report["unexpected_keys"]:  # a bias, say, that the configuration leaves out
        raise ModelUnreadable(f"{_some(unexpected)} in no place of the model that the configuration describes")
    return model.requires_grad_(False).eval()


def _some(names: set[str]) -> str:
    """The first of some weights' names, and how many more there are."""
    first, *others = sorted(names)
    return f"{first} and {len(others)} more are" if others else f"{first} is"
