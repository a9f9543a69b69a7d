"""Reads pyproject.toml and the locks, for the tests that hold them to one another."""

import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[3]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

EXTRAS = {"gpu": ["gpu"], "dev": ["edge", "gpu", "local", "dev"]}
"""The locks that hold extras, and which."""
FUNCTIONS = ["edge", "batch"]
"""The locks of what runs on Lambda: each holds the group of its name."""
LOCKS = [*EXTRAS, *FUNCTIONS, "servers", "litellm"]
"""Every lock. The last two are for what tests and benchmarks start, in environments of their own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One locked version: the requirement with its marker, and its hashes."""

    requirement: Requirement
    hashes: tuple[str, ...]

    @property
    def name(self) -> str:
        """The distribution's canonical name."""
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        """The one version that is locked."""
        (specifier,) = self.requirement.specifier
        assert specifier.operator == "==", f"{self.requirement} is not pinned"
        return specifier.version

    @property
    def applies(self) -> bool:
        """Whether the entry is for this Python and this machine."""
        return self.requirement.marker is None or self.requirement.marker.evaluate()


def lock_text(lock: str) -> str:
    """A lock as it is written."""
    return (ROOT / "infra" / "locks" / f"{lock}.txt").read_text(encoding="utf-8")


def entries(lock: str) -> list[Entry]:
    """A lock's entries."""
    lines = [line for line in lock_text(lock).splitlines() if not line.lstrip().startswith("#")]
    logical = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [_entry(line) for line in logical if line.strip()]


def _entry(line: str) -> Entry:
    requirement, *hashes = line.split("--hash=")
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", part.strip()) for part in hashes), line
    return Entry(Requirement(requirement), tuple(part.strip() for part in hashes))


def group(name: str) -> list[Requirement]:
    """What pyproject.toml asks for in a group of its own."""
    return [Requirement(line) for line in PROJECT["dependency-groups"][name]]


def asked(lock: str) -> list[Requirement]:
    """What pyproject.toml asks for in a lock."""
    return wanted(EXTRAS[lock]) if lock in EXTRAS else group(lock)


def wanted(extras: Iterable[str]) -> list[Requirement]:
    """What pyproject.toml asks for: the core's requirements and those of the extras."""
    project = PROJECT["project"]
    lines = [*project["dependencies"], *(line for extra in extras for line in project["optional-dependencies"][extra])]
    return [Requirement(line) for line in lines]


def closure(requirements: Iterable[Requirement]) -> Iterator[Requirement]:
    """The requirements that hold here, and those of what is installed for them, and so on."""
    pending = list(requirements)
    seen: set[str] = set()
    while pending:
        requirement = pending.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        yield requirement
        pending.extend(_needs(requirement))


def _needs(requirement: Requirement) -> Iterator[Requirement]:
    for line in metadata.requires(requirement.name) or ():
        need = Requirement(line)
        if need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in ("", *requirement.extras)):
            need.marker = None  # it has been evaluated
            yield need
