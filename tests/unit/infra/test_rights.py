"""The functions may do at DynamoDB what the ledger and the book do there, and nothing else."""

import ast
from collections.abc import Iterator, Mapping

import pytest

from penstock.clock import MINUTE
from penstock.ledger import Ledger, open_ledger
from penstock.ledger.dynamodb.table import Table
from tests.contract.samples import BOUND, DEADLINE, NOW, USAGE, enrol, lease_of, live
from tests.servers.proxy import Proxy
from tests.unit.infra.conftest import Compiled
from tests.unit.infra.osls import ROOT

LEDGER = ROOT / "shared" / "penstock" / "ledger" / "dynamodb"
BOOK = ROOT / "shared" / "penstock" / "batches" / "dynamodb.py"

# What each method of the table asks DynamoDB for. A transaction asks for the rights of the writes in it.
OPERATIONS: Mapping[str, set[str]] = {
    "describe": {"DescribeTable"},
    "get": {"GetItem"},
    "get_all": {"BatchGetItem"},
    "query": {"Query"},
    "page": {"Query"},
    "scan": {"Scan"},
    "update": {"UpdateItem"},
    "put": {"PutItem"},
    "delete": {"DeleteItem"},
    "transact": {"PutItem", "UpdateItem", "DeleteItem"},
}
REQUESTS: Mapping[str, set[str]] = {"TransactWriteItems": {"PutItem", "UpdateItem"}}


def called() -> set[str]:
    """The table's methods that the ledger and the book call; not the audit, which is a person's."""
    modules = [BOOK, *(path for path in LEDGER.glob("*.py") if path.name != "audit.py")]
    return {name for path in modules for name in _methods(ast.parse(path.read_text(encoding="utf-8")))}


def _methods(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("table", "self._table"):
            yield node.attr


def test_the_operations_are_the_tables() -> None:
    methods = {name for name in vars(Table) if not name.startswith("_")}
    assert methods == {*OPERATIONS, "connect", "close"}


def test_the_edge_scans_nothing() -> None:
    """Of the ledger, `records` and the audit read the whole table."""
    for path in (ROOT / "functions" / "edge").rglob("*.py"):
        calls = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        assert not calls & {"records", "audit"}, path


@pytest.mark.parametrize("function", ["edge", "edge-stream", "dropped", "batch", "queue", "reconciler"])
def test_a_function_may_do_what_the_ledger_and_the_book_do(compiled: Compiled, function: str) -> None:
    used = {operation for name in (called() & OPERATIONS.keys()) - {"scan"} for operation in OPERATIONS[name]}
    assert compiled("production").rights(function, "dynamodb") == used


@pytest.mark.anyio
async def test_the_reconciler_may_do_what_it_does(compiled: Compiled, dynamodb_url: str, dynamodb_proxy: Proxy) -> None:
    ledger = await open_ledger(dynamodb_url)
    await _let_two_requests_die(ledger)
    await ledger.close()

    dynamodb_proxy.requests.clear()
    ledger = await open_ledger(dynamodb_url)
    assert len(await ledger.expire(DEADLINE + MINUTE)) == 2
    assert await ledger.expire(DEADLINE + MINUTE) == []
    await ledger.close()

    used = {right for name in dynamodb_proxy.requests for right in REQUESTS.get(name, {name})}
    # Here the schema has been written; whoever opens a new table first does that.
    assert compiled("production").rights("reconciler", "dynamodb") >= used | {"PutItem"}


async def _let_two_requests_die(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await live(ledger, caller, lease_of(caller, "req_unclaimed"))
    claimed = await live(ledger, caller, lease_of(caller, "req_claimed"))
    await ledger.claim(claimed, "a", BOUND, NOW, DEADLINE)
    await ledger.checkpoint(claimed, "a", USAGE, DEADLINE)
