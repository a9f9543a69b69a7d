"""SnapStart: what runs before the snapshot of the process is taken, and in each process restored from it.

The hooks are those that the app has registered with `snapshot_restore_py`, a module of Lambda's managed Python; where
it is missing there are none. They run as AWS's own runtime runs them: first those of before the snapshot, the last
registered first, then, after the restoration, the others in their order; outside of the event loop.
"""

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

Hook = tuple[Callable[..., object], tuple[Any, ...], dict[str, Any]]


def is_wanted() -> bool:
    """Whether this process is to become a snapshot."""
    return os.environ.get("AWS_LAMBDA_INITIALIZATION_TYPE") == "snap-start"


def run_before_snapshot() -> None:
    """Raises what a hook raises."""
    for function, args, named in reversed(_registered("get_before_snapshot")):
        function(*args, **named)


def run_after_restore() -> None:
    """Raises what a hook raises."""
    for function, args, named in _registered("get_after_restore"):
        function(*args, **named)


def _registered(getter: str) -> list[Hook]:
    try:
        registry = import_module("snapshot_restore_py")
    except ModuleNotFoundError:
        return []
    return list(getattr(registry, getter)())
