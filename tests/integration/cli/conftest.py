"""A ledger with the account `local`: a file, or either of both stores."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

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


@pytest.fixture
async def unmade_table(anyio_backend: str, dynamodb: str | None) -> AsyncIterator[str]:
    """The URL of a table that the test may make; it goes with the test."""
    from penstock.ledger.dynamodb import delete_table

    table = f"penstock-test-{uuid4().hex}"
    yield f"dynamodb://{table}"
    await delete_table(table)
