"""What a zip is built for: a Python of Lambda, on one of its two architectures.

From Python 3.12 on, Lambda runs Amazon Linux 2023, whose glibc is 2.34; before, Amazon Linux 2 with 2.26. A wheel for
glibc 2.17 (manylinux2014) runs on both, and goes first; one for a newer glibc is taken where there is no other. Of what
we package that is cbor2 alone, without which modal does where it cannot be loaded.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from packaging.tags import Tag, compatible_tags, cpython_tags

from infra.packaging.failure import PackagingFailed

_MACHINES = {"x86_64": "x86_64", "arm64": "aarch64"}  # Lambda's name: Linux's
ARCHITECTURES = tuple(_MACHINES)
_NEWEST = 34  # of glibc 2.x
_OLD_NAMES = {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}  # of glibc 2.x


@dataclass(frozen=True, slots=True)
class Target:
    """`python` is X.Y and not older than 3.11, `architecture` one of ARCHITECTURES. Raises PackagingFailed."""

    python: str
    architecture: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"3\.(1[1-9]|[2-9][0-9])", self.python):
            raise PackagingFailed(
                f"Python {self.python[:20]!r} is none to package for: it must be 3.11 or newer, as 3.X"
            )
        if self.architecture not in _MACHINES:
            raise PackagingFailed(f"architecture {self.architecture[:20]!r} is none of {', '.join(ARCHITECTURES)}")

    def __str__(self) -> str:
        return f"Python {self.python}, {self.architecture}"

    @property
    def version(self) -> tuple[int, int]:
        """The Python's major and minor version."""
        major, minor = self.python.split(".")
        return int(major), int(minor)

    @property
    def platforms(self) -> tuple[str, ...]:
        """The platforms whose wheels run there, as pip calls them, best first."""
        return tuple(self._platforms())

    @property
    def tags(self) -> tuple[Tag, ...]:
        """What a wheel may be tagged with (PEP 425) to run there, best first."""
        return (
            *cpython_tags(self.version, platforms=self.platforms),
            *compatible_tags(self.version, f"cp{self.python.replace('.', '')}", self.platforms),
        )

    @property
    def markers(self) -> dict[str, str]:
        """What the variables of a requirement's marker (PEP 508) are there.

        Of the full version only the minor one is known: no lock may tell patches apart.
        """
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.python}.0",
            "os_name": "posix",
            "platform_machine": _MACHINES[self.architecture],
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{self.python}.0",
            "python_version": self.python,
            "sys_platform": "linux",
            "extra": "",
        }

    def _platforms(self) -> Iterator[str]:
        machine = _MACHINES[self.architecture]
        for minor in (*range(17, 4 if machine == "x86_64" else 16, -1), *range(18, _NEWEST + 1)):
            yield f"manylinux_2_{minor}_{machine}"
            if minor in _OLD_NAMES:
                yield f"{_OLD_NAMES[minor]}_{machine}"
        yield f"linux_{machine}"
