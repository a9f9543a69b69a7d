"""The ledgers and books that the contract holds for: one URL for each backend."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from penstock.batches import Book, open_book
from penstock.ledger import Ledger, open_ledger


@pytest.fixture(params=["sqlite", "dynamodb"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A store of its own for the test, empty."""
    if request.param == "dynamodb":
        url: str = request.getfixturevalue("dynamodb_url")
        return url
    return f"sqlite:///{tmp_path / 'ledger.db'}"


@pytest.fixture
async def ledger(anyio_backend: str, ledger_url: str) -> AsyncIterator[Ledger]:
    """The store, open."""
    opened = await open_ledger(ledger_url)
    yield opened
    await opened.close()


@pytest.fixture
async def book(anyio_backend: str, ledger_url: str) -> AsyncIterator[Book]:
    """The book in the store, open."""
    opened = await open_book(ledger_url)
    yield opened
    await opened.close()
