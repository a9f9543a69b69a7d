"""Compiles a tree's sources, under the Python that is to run them.

The bytecode is believed unchecked: a zip's times say nothing, and a start that had to compile would take three times
as long. Of the wheels, bytecode takes the place of the sources, which would be a fifth of the zip: a traceback still
says their files and lines, but does not show them. Our own sources stay beside theirs.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from infra.packaging.failure import PackagingFailed
from infra.packaging.tree import OURS, Tree

_COMPILER = Path(__file__).with_name("compiler.py")
_TIMEOUT = 600  # seconds


def find_interpreter(python: str, given: Path | None = None) -> Path:
    """An interpreter of the version X.Y that really runs: the given one, or one of PATH or pyenv's.

    Raises PackagingFailed.
    """
    if given is not None:
        found = _version(given)
        if found != python:
            raise PackagingFailed(
                f"{given} is not Python {python}: " + (f"it is {found}" if found else "it does not run")
            )
        return given
    for candidate in _candidates(python):
        if _version(candidate) == python:
            return candidate
    raise PackagingFailed(f"there is no Python {python} here to compile with: name one with --interpreter")


def compile_tree(tree: Tree, python: str, interpreter: Path) -> Tree:
    """The tree with its bytecode, which is whose the source is or was. Raises PackagingFailed."""
    owners = dict(tree.owners)
    compiled = _compiled(tree, python)
    _compile(tree.folder, compiled, interpreter)
    for source, bytecode in compiled.items():
        owners[bytecode] = owners[source]
        if owners[source] != OURS:
            (tree.folder / source).unlink()
            del owners[source]
    return Tree(tree.folder, owners)


def _compiled(tree: Tree, python: str) -> dict[str, str]:
    """Where the bytecode of each source goes: beside it where it stays, else in its place."""
    sources = sorted(path for path in tree.owners if path.endswith(".py"))
    return {path: _beside(path, python) if tree.owners[path] == OURS else f"{path}c" for path in sources}


def _beside(source: str, python: str) -> str:
    """PEP 3147's place, for CPython."""
    folder, slash, name = source.rpartition("/")
    return f"{folder}{slash}__pycache__/{name.removesuffix('.py')}.cpython-{python.replace('.', '')}.pyc"


def _compile(folder: Path, compiled: Mapping[str, str], interpreter: Path) -> None:
    done = subprocess.run(  # noqa: S603
        [interpreter, "-P", "-S", _COMPILER],
        cwd=folder,
        # Nothing of this environment may show in the bytecode, such as the order of a set.
        env={"PYTHONHASHSEED": "0"},
        input="".join(f"{source}\t{bytecode}\n" for source, bytecode in compiled.items()),
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        raise PackagingFailed(f"{interpreter} does not compile: {(done.stderr.strip() or 'it did not say why')[-500:]}")


def _candidates(python: str) -> Iterator[Path]:
    yield Path(sys.executable)
    for folder in os.get_exec_path():
        yield Path(folder) / f"python{python}"
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    yield from sorted(pyenv.glob(f"versions/{python}.*/bin/python{python}"), reverse=True)
    on_path = shutil.which("python3")
    if on_path is not None:
        yield Path(on_path)


def _version(interpreter: Path) -> str | None:
    """X.Y, where it runs."""
    asked = "import sys; print(*sys.version_info[:2], sep='.')"
    try:
        done = subprocess.run(  # noqa: S603
            [interpreter, "-I", "-S", "-c", asked], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
