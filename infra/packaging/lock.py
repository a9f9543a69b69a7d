"""Reads a lock: the distributions a target needs, each at one version and with its hashes.

The format is that of pip's requirements with hashes, as infra/locks/compile writes it. A line that is anything
else, such as an option, a URL or a version that is not exact, is an error.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from infra.packaging.failure import PackagingFailed
from infra.packaging.target import Target

MAX_LOCK = 16 << 20  # bytes


@dataclass(frozen=True, slots=True)
class Pin:
    """A distribution at one version; `hashes` are the SHA-256 of its files, in hexadecimal."""

    name: str
    version: Version
    hashes: frozenset[str]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def requirement(self) -> str:
        """The line that pip reads."""
        return " ".join([str(self), *(f"--hash=sha256:{one}" for one in sorted(self.hashes))])


def read_lock(path: Path, target: Target) -> tuple[Pin, ...]:
    """What of the lock the target needs, in order of names. Raises PackagingFailed."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_LOCK).decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PackagingFailed(f"the lock {path.name} cannot be read: {error}") from error
    pins = sorted(_pins(path.name, text, target), key=lambda pin: pin.name)
    for before, pin in pairwise(pins):
        if before.name == pin.name:
            raise PackagingFailed(f"the lock {path.name} holds {before} and {pin}, both for {target}")
    if not pins:
        raise PackagingFailed(f"the lock {path.name} holds nothing for {target}")
    return tuple(pins)


def _pins(name: str, text: str, target: Target) -> Iterator[Pin]:
    for line in _lines(text):
        try:
            requirement, pin = _pin(line)
        except (InvalidRequirement, InvalidVersion, ValueError) as error:
            raise PackagingFailed(f"the lock {name} has no pin with hashes where it says {line[:80]!r}") from error
        if requirement.marker is None or requirement.marker.evaluate(target.markers):
            yield pin


def _lines(text: str) -> list[str]:
    lines = (line for line in text.splitlines() if not line.lstrip().startswith("#"))
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def _pin(line: str) -> tuple[Requirement, Pin]:
    """Raises ValueError where a pin is not exact, or has no hash, or one of another kind."""
    written, *hashes = (part.strip() for part in line.split("--hash="))
    requirement = Requirement(written)
    (specifier,) = requirement.specifier
    if specifier.operator != "==" or requirement.url or not hashes:
        raise ValueError(line)
    if not all(re.fullmatch("sha256:[0-9a-f]{64}", one) for one in hashes):
        raise ValueError(line)
    name, version = canonicalize_name(requirement.name), Version(specifier.version)
    return requirement, Pin(name, version, frozenset(one.removeprefix("sha256:") for one in hashes))
