"""What is started: each packaged function with its first event, in an environment of its own."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.coldstart.packages import Packages
from benchmarks.failure import BenchmarkFailed

_START = Path(__file__).with_name("start.py")
_TIMEOUT = 120  # seconds


@dataclass(frozen=True, slots=True)
class Subject:
    """A function and the event that comes first; `package` is the deployable's name."""

    name: str
    package: str
    handler: str
    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Start:
    """CPU milliseconds of one process: of the import, and of the first request."""

    imported: float
    answered: float

    @property
    def whole(self) -> float:
        """Both: what the first caller pays for."""
        return self.imported + self.answered


def start(subject: Subject, packages: Packages, environment: Mapping[str, str]) -> Start:
    """One fresh process. Raises BenchmarkFailed where it fails, or answers with anything but 200."""
    try:
        done = subprocess.run(
            [packages.interpreter, "-P", "-S", _START, packages.folders[subject.package], subject.handler],
            input=json.dumps([subject.event]),
            env={"PATH": os.defpath, **environment},
            capture_output=True,
            text=True,
            timeout=_TIMEOUT,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkFailed(f"{subject.name} had not answered after {_TIMEOUT} s") from None
    except subprocess.CalledProcessError as error:
        raise BenchmarkFailed(f"{subject.name} did not start: {error.stderr[-500:]}") from error
    result = json.loads(done.stdout.splitlines()[-1])
    [request] = result["requests"]
    if request["status"] != 200:
        raise BenchmarkFailed(f"{subject.name} answered {request['status']}: {done.stdout[-500:]}")
    return Start(result["import_ms"], request["ms"])
