"""A ledger file with the account `local`."""

from pathlib import Path

import pytest

from tests.integration.cli.command import done, here


@pytest.fixture
def ledger(tmp_path: Path) -> str:
    """Its URL."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    done(here("accounts", "create", "local", "--ledger", url))
    return url
