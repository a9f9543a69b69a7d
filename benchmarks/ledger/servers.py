"""The DynamoDB of the benchmark: ministack, the one that the tests use, and the environment that leads to it.

It holds everything in memory and is written in Python. What it takes is its own time and not DynamoDB's.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

from benchmarks.failure import BenchmarkFailed
from tests.servers.environment import UNSET, environment
from tests.servers.ministack import PYTHON, ministack
from tests.servers.process import StartFailed


@contextmanager
def dynamodb(directory: Path) -> Iterator[str]:
    """Its URL, while it runs. It ends with this process, of whatever that ends. Raises BenchmarkFailed."""
    if not PYTHON.exists():
        raise BenchmarkFailed("ministack is not installed: run tests/install")
    try:
        with ministack(directory) as url:
            yield url
    except StartFailed as error:
        raise BenchmarkFailed(str(error)) from error


@contextmanager
def led_to(url: str) -> Iterator[None]:
    """The AWS configuration of this process is that of the server at `url`, and nothing else."""
    with patch.dict(os.environ, environment(url)):
        for name in UNSET:
            os.environ.pop(name, None)
        yield
