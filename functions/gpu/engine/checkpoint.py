"""The files that hold a model's weights.

Light: reads no tensor and imports no torch, so that whoever fetches a model can tell whether all of it is there.
Files that are there are taken as whole; weights.py finds those that are cut short. The format of the index is
transformers': https://huggingface.co/docs/transformers/big_models#sharded-checkpoints.
"""

import json
from pathlib import Path

from functions.gpu.engine.protocol import ModelUnreadable

WHOLE = "model.safetensors"
INDEX = "model.safetensors.index.json"
PICKLED = ("*.bin", "*.pt", "*.pth", "*.pkl")


def weight_files(folder: Path) -> tuple[Path, ...]:
    """The safetensors files of a model's weights: one, or the shards of an index. Raises ModelUnreadable."""
    if (folder / WHOLE).is_file():
        return (folder / WHOLE,)
    if not (folder / INDEX).is_file():
        pickled = any(found for pattern in PICKLED for found in folder.glob(pattern))
        hint = "; pickled weights can run code and are not read" if pickled else ""
        raise ModelUnreadable(f"no {WHOLE} and no {INDEX}{hint}")
    names = _shards(folder / INDEX)
    missing = [name for name in names if not (folder / name).is_file()]
    if missing:
        raise ModelUnreadable(f"{missing[0]} is missing: {len(missing)} of {len(names)} files that {INDEX} names")
    return tuple(folder / name for name in names)


def _shards(index: Path) -> list[str]:
    """The names of an index's files, each once."""
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
    except (ValueError, TypeError, KeyError, AttributeError):
        names = []
    if not names:
        raise ModelUnreadable(f"{INDEX} is no JSON with a weight_map of files")
    for name in names:
        if not isinstance(name, str) or Path(name).name != name or not name.endswith(".safetensors"):
            raise ModelUnreadable(f"{INDEX} names {name!r}, which is no safetensors file of the folder")
    return names
