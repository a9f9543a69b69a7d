"""The rules that ledger's and book's expressions are written by: no condition calculates, names are placeholders.

DynamoDB has no arithmetic in conditions, and reserves some 570 words; a name that is no placeholder must be none.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ReservedWords.html
"""

import json
import re
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

from penstock.batches import open_book
from penstock.ledger import create_ledger
from penstock.ledger.dynamodb.table import Table
from tests.contract.test_strict import call_everything, call_everything_of_the_book
from tests.servers.proxy import Proxy

pytestmark = pytest.mark.anyio

# The only ones that stand for themselves. The second test asks dynalite, which has the list of reserved words.
BARE = {"pk", "ends_at", "attempt"}
_SYNTAX = {"AND", "OR", "NOT", "BETWEEN", "IN", "SET", "ADD", "REMOVE", "DELETE"}
_WORD = re.compile(r"(?<![#:\w])[A-Za-z_]\w*(?!\w*\s*\()")
_NAMED = ("ConditionExpression", "KeyConditionExpression", "FilterExpression", "UpdateExpression")


def expressions(body: Any) -> list[tuple[str, str]]:
    """All of a request, with their kinds, those in a transaction too."""
    if isinstance(body, list):
        return [found for one in body for found in expressions(one)]
    if not isinstance(body, dict):
        return []
    here = [(name, body[name]) for name in _NAMED if name in body]
    return here + [found for value in body.values() for found in expressions(value)]


@pytest.fixture
async def heard(dynamodb_proxy: Proxy) -> set[tuple[str, str]]:
    """Every expression that the methods of ledger and book send."""
    found: set[tuple[str, str]] = set()
    dynamodb_proxy.heard = lambda _, body: found.update(expressions(json.loads(body)))
    url = f"dynamodb://penstock-test-{uuid4().hex}"
    ledger, book = await create_ledger(url), await open_book(url)
    await call_everything(ledger)
    await call_everything_of_the_book(book)
    await ledger.close()
    await book.close()
    return found


async def test_no_condition_calculates(heard: set[tuple[str, str]]) -> None:
    conditions = {text for kind, text in heard if kind != "UpdateExpression"}
    assert len(conditions) > 20
    assert [text for text in conditions if re.search(r"[+\-*/]", text)] == []


async def test_names_are_placeholders_but_for_three(heard: set[tuple[str, str]]) -> None:
    bare = {word for _, text in heard for word in _WORD.findall(text)} - _SYNTAX
    assert bare == BARE


@pytest.mark.parametrize("name", [*sorted(BARE), "state", "ttl"])
async def test_the_bare_names_are_no_reserved_words(table: Table, name: str) -> None:
    """The last two are reserved: that dynalite refuses them shows that it looks."""
    condition = {"Key": {"pk": {"S": "a"}, "sk": {"S": "-"}}, "ConditionExpression": f"attribute_not_exists({name})"}
    if name in BARE:
        await table.client.delete_item(TableName=table.name, **condition)
    else:
        with pytest.raises(ClientError, match="reserved keyword"):
            await table.client.delete_item(TableName=table.name, **condition)
