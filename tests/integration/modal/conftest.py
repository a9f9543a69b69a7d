"""The deployment that the tests of this folder share."""

from collections.abc import Iterator

import pytest

from tests.control_plane.fixtures import linux, pytest_runtest_makereport
from tests.integration.modal.cloud import Cloud, deployed

__all__ = ["cloud", "linux", "pytest_runtest_makereport"]


@pytest.fixture(scope="package")
def cloud(linux: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Penstock, deployed."""
    with deployed(tmp_path_factory.mktemp("cloud")) as cloud:
        yield cloud
