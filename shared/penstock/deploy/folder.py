"""A folder on this machine that a model is loaded from: its files, and whether they look like a model."""

from fnmatch import fnmatch
from pathlib import Path

from penstock.weights import UNWANTED, WANTED, WeightFile, WeightsError, digest_of

MOST_FILES = 1_000


def wanted_in(folder: Path) -> tuple[Path, ...]:
    """The files to load a model from, by name. Raises WeightsError where they cannot be those of one."""
    if not folder.is_dir():
        raise WeightsError(f"{folder}: no such folder")
    files = sorted(file for file in folder.iterdir() if _is_wanted(file.name) and file.is_file())
    if len(files) > MOST_FILES:
        raise WeightsError(f"{folder}: more than {MOST_FILES} files to load a model from")
    if not any(file.name == "config.json" for file in files):
        raise WeightsError(f"{folder}: no config.json")
    if not any(file.suffix == ".safetensors" for file in files):
        raise WeightsError(f"{folder}: no .safetensors file")
    return tuple(files)


def described(file: Path) -> WeightFile:
    """A file, read once. Raises OSError."""
    return WeightFile(name=file.name, size=file.stat().st_size, sha256=digest_of(file))


def _is_wanted(name: str) -> bool:
    return any(fnmatch(name, pattern) for pattern in WANTED) and not any(fnmatch(name, each) for each in UNWANTED)
