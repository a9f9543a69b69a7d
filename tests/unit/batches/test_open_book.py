"""Which book a URL opens, and that only its store's library is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from penstock.batches import open_book
from penstock.batches.sqlite import SqliteBook
from penstock.ledger import LedgerUnavailable

pytestmark = pytest.mark.anyio

STORES = ("sqlalchemy", "aiobotocore", "botocore")


async def test_a_file_is_made_where_there_is_none(tmp_path: Path) -> None:
    book = await open_book(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert isinstance(book, SqliteBook)
    assert await book.open_batches() == []
    await book.close()


async def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    with pytest.raises(LedgerUnavailable, match=r"cannot open the ledger .*nowhere"):
        await open_book(f"sqlite:///{tmp_path / 'nowhere' / 'ledger.db'}")


@pytest.mark.parametrize("url", ["", "postgres://db", "sqlite://", "dynamodb://"])
async def test_a_url_of_no_store_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="names no ledger"):
        await open_book(url)


def test_the_records_and_the_seam_load_no_store() -> None:
    program = f"import sys, penstock.batches, penstock.batches.text; print([m for m in {STORES} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == "[]\n"
