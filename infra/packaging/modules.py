"""Which modules of this checkout a deployable needs: those that its entry modules import, and so on.

Read from the sources and never by importing, so that imports inside of functions count as well. What is imported by
a name that is made up at run time is not seen.
"""

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

from infra.packaging.failure import PackagingFailed

_BASES = ("shared", ".")  # where the checkout's packages are, from its root


def closure(root: Path, entries: Iterable[str], without: Iterable[str] = ()) -> dict[str, Path]:
    """The file of each module, by its path in the zip. `without` are modules left out, with all that is in them.

    Raises PackagingFailed where an entry is not there, or a source cannot be read as Python.
    """
    entries, without = tuple(entries), tuple(without)
    for entry in entries:
        if _find(root, entry) is None:
            raise PackagingFailed(f"there is no module {entry} to package")
    files: dict[str, Path] = {}
    pending, seen = list(entries), set[str]()
    while pending:
        module = pending.pop()
        if module in seen or any(f"{module}.".startswith(f"{one}.") for one in without):
            continue
        seen.add(module)
        found = _find(root, module)
        if found is not None:
            files[found[0]] = found[1]
            pending.extend(_parents(module))
            pending.extend(_imports(found[1]))
    return files


def _find(root: Path, module: str) -> tuple[str, Path] | None:
    """A module's path in the zip, and its file."""
    inside = module.replace(".", "/")
    for base in _BASES:
        for name in (f"{inside}.py", f"{inside}/__init__.py"):
            if (root / base / name).is_file():
                return name, root / base / name
    return None


def _parents(module: str) -> Iterator[str]:
    while "." in module:
        module = module.rpartition(".")[0]
        yield module


def _imports(file: Path) -> Iterator[str]:
    """All that might be a module: of `from a import b`, whether `b` is one is for `_find` to see."""
    try:
        parsed = ast.parse(file.read_bytes(), file.name)
    except (SyntaxError, ValueError) as error:
        raise PackagingFailed(f"{file} is no Python: {error}") from error
    for node in ast.walk(parsed):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
