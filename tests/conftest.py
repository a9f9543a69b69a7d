"""What every test stands on: the policy on skips, asyncio under anyio, the servers that tests may ask for, and
hypothesis without a stopwatch."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

from tests.servers.fixtures import (
    bucket_url,
    dynalite_server,
    dynamodb,
    dynamodb_faults,
    dynamodb_proxy,
    dynamodb_server,
    dynamodb_url,
)
from tests.skips import pytest_make_collect_report, pytest_runtest_makereport

__all__ = [
    "anyio_backend",
    "bucket_url",
    "dynalite_server",
    "dynamodb",
    "dynamodb_faults",
    "dynamodb_proxy",
    "dynamodb_server",
    "dynamodb_url",
    "pytest_make_collect_report",
    "pytest_runtest_makereport",
]

# One torch thread in each process, here and in what the tests start: several at a time share the cores, and
# threads that wait for one another by spinning slow each other down many times over.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Tests send Ctrl-C, which a run in the background of a shell ignores, and with it all that it starts.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# A timing never decides a test. Under CI, hypothesis's own profile also makes its choices repeatable.
settings.register_profile("penstock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("penstock")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Asynchronous tests run on asyncio, as the processes do."""
    return "asyncio"
