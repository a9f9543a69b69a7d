"""A control plane for a test, and a client of it. To be imported by the conftest.py of the tests that use them."""

import sys
from collections.abc import Generator, Iterator

import modal
import pytest

from tests.control_plane.running import ControlPlane, control_plane

__all__ = ["linux", "modal_client", "plane", "pytest_runtest_makereport"]


@pytest.fixture(scope="session")
def linux() -> None:
    """Where there is none, there are no containers either: the test is skipped."""
    if sys.platform != "linux":
        pytest.skip("no Linux")


@pytest.fixture(scope="module")
def plane(linux: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """One control plane for all tests of a module. Their last one fails where it was asked what it does not know."""
    with control_plane(tmp_path_factory.mktemp("modal")) as plane:
        yield plane
        plane.check()


@pytest.fixture(scope="module")
def modal_client(plane: ControlPlane) -> Iterator[modal.Client]:
    """Modal's client in this process, which calls take as `client=`."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in plane.environment.items():
            patch.setenv(name, value)
        client = modal.Client.from_credentials("ak-tests", "as-tests")
        yield client
        client.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show the logs of the control plane and its containers with a test that failed."""
    report = yield
    plane = getattr(item, "funcargs", {}).get("plane")
    if report.failed and isinstance(plane, ControlPlane):
        report.sections.append(("control plane", plane.logs()))
    return report
