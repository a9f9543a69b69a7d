"""The checkout of Penstock that `penstock serve` runs from, and whether all it needs is installed."""

from importlib.util import find_spec
from pathlib import Path

from penstock.cli.failure import Failure

# One module of each of the `local` extra's libraries; none is imported here.
_NEEDED = (
    "aiohttp",
    "fastapi",
    "sqlalchemy",
    "starlette",
    "structlog",
    "torch",
    "transformers",
    "uvicorn",
)


def checkout() -> Path:
    """The repository's folder. Raises Failure where there is none, or something is missing."""
    functions = find_spec("functions")
    folders = list(functions.submodule_search_locations or []) if functions is not None else []
    if not folders or not (Path(folders[0]) / "edge").is_dir():
        raise Failure("`penstock serve` runs from a checkout: clone the repository, then run scripts/serve")
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise Failure(f"not installed: {', '.join(missing)}; run scripts/install (the `local` extra)")
    return Path(folders[0]).parent
