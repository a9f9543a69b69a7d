"""Whether the code that is deployed builds: the app's module, imported in a process of its own, and its lock."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from penstock.deploy.finding import Finding, right, wrong
from penstock.deployment import CLASS_KINDS, class_name
from penstock.models import ServedModel

MODULE = "functions.gpu.modal_app"
WITHIN_S = 120.0
_LINE = 300  # characters of an error that are passed on
_KINDS = {"Gate": "Server", "Generator": "Cls", "Worker": "Cls"}
# Importing the module builds its app, and asks Modal nothing.
_CODE = f"""
import json, sys
import {MODULE} as module
print(json.dumps({{name: type(getattr(module, name, None)).__name__ for name in sys.argv[1:]}}))
"""
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;]+)")


def check_build(config: Path, models: tuple[ServedModel, ...]) -> Iterator[Finding]:
    """The app has every model's classes, and what it installs is pinned."""
    root = _checkout()
    if root is None:
        yield wrong("what is deployed is in a clone of the repository, and this is none", "run it from there")
        return
    yield _app(root, config, models)
    yield _lock(root)


def _checkout() -> Path | None:
    functions = find_spec("functions")
    for folder in (functions.submodule_search_locations or []) if functions else []:
        if (Path(folder) / "gpu" / "modal_app.py").is_file():
            return Path(folder).parent
    return None


def _app(root: Path, config: Path, models: tuple[ServedModel, ...]) -> Finding:
    expected = {class_name(kind, model.name): _KINDS[kind] for model in models for kind in CLASS_KINDS}
    try:
        done = subprocess.run(  # noqa: S603 (this interpreter, and code that is above)
            [sys.executable, "-c", _CODE, *expected],
            cwd=root,
            env={**os.environ, "PENSTOCK_CONFIG": str(config.resolve())},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return wrong(f"{MODULE} is not imported within {WITHIN_S:.0f} s")
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["it ended"])[-1][:_LINE]
        mend = "install penstock[modal]" if "No module named 'modal'" in reason else ""
        return wrong(f"{MODULE} is not imported: {reason}", mend)
    there: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    missing = [name for name, kind in expected.items() if there[name] != kind]
    if missing:
        return wrong(f"{MODULE} has no {', '.join(missing)}")
    return right(f"{MODULE} builds the app, with all of its classes")


def _lock(root: Path) -> Finding:
    """What the lock leaves out, the app has to name with the version that the extra has."""
    extras = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    lock = root / "infra" / "locks" / "gpu.txt"
    pinned = {_canonical(name): version for name, version in _PIN.findall(lock.read_text(encoding="utf-8"))}
    app = (root / "functions" / "gpu" / "modal_app.py").read_text(encoding="utf-8")
    wanted = {match[1]: match[2] for each in extras["gpu"] if (match := _REQUIREMENT.match(each))}
    loose = [
        f"{name}=={version}"
        for name, version in wanted.items()
        if pinned.get(_canonical(name)) != version and f'"{name}=={version}"' not in app
    ]
    if loose or len(wanted) != len(extras["gpu"]):
        return wrong(f"{lock.name} does not pin {', '.join(loose) or 'the gpu extra'}", "run infra/locks/compile")
    return right(f"{lock.name} pins what the containers install: {len(pinned)} packages")


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
