"""A ledger with the account `local`: a file, or either of both stores."""

from pathlib import Path

import pytest

from tests.integration.cli.command import done, here


@pytest.fixture
def ledger_file(tmp_path: Path) -> str:
    """The URL of a ledger file."""
    url = f"sqlite:///{tmp_path / 'ledger.db'}"
    done(here("accounts", "create", "local", "--ledger", url))
    return url


@pytest.fixture(params=["sqlite", "dynamodb"])
def ledger(request: pytest.FixtureRequest) -> str:
    """The URL of a ledger of either store."""
    if request.param == "sqlite":
        file: str = request.getfixturevalue("ledger_file")
        return file
    table: str = request.getfixturevalue("dynamodb_url")
    done(here("accounts", "create", "local", "--ledger", table))
    return table
