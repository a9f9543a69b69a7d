"""The control plane for its own tests, with the sample deployed."""

import pytest

from tests.control_plane.fixtures import linux, modal_client, plane, pytest_runtest_makereport
from tests.control_plane.running import ControlPlane

__all__ = ["linux", "modal_client", "plane", "pytest_runtest_makereport", "sample"]

SAMPLE = "tests/control_plane/sample_app.py"


@pytest.fixture(scope="module")
def sample(plane: ControlPlane) -> ControlPlane:
    """The control plane with the sample deployed."""
    plane.set_secret("sample-secret", {"FROM_SECRET": "first"})
    plane.modal("deploy", SAMPLE)
    return plane
