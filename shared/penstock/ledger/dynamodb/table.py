"""The table: its connections, and each kind of request to it, tried until it works or its deadline is over.

Where it is and who we are comes from the standard AWS configuration: AWS_REGION, AWS_ENDPOINT_URL, the
chain of credentials. One client for the life of the process, used from one event loop.

What comes out: items, `ConditionFailed` with the item as it was, or LedgerUnavailable, which says in one
line what is in the way. botocore's own retries are off: ours know the deadline, and which write is whose.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, TypeVar

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws
from penstock.ledger.dynamodb.expression import Key, Update
from penstock.ledger.dynamodb.patience import PATIENCE, REFUSED, Patience, transient
from penstock.ledger.dynamodb.values import Item, Value, item_from_wire, item_to_wire, to_wire
from penstock.ledger.records import LedgerUnavailable

T = TypeVar("T")

# As many as one process has requests to the table under way; further ones wait for a connection. A Lambda
# needs one or two of them, a GPU process with 256 streams that checkpoint and settle some dozens.
CONNECTIONS = 64
CONNECT_TIMEOUT = 2.0  # seconds; within a region it takes milliseconds
# A request takes some 5 ms, a transaction 25 (90 at p99). Three seconds is a request that got lost.
READ_TIMEOUT = 3.0  # seconds
_BATCH = 100  # keys in one BatchGetItem, as many as DynamoDB takes

_CONFIG = AioConfig(
    connect_timeout=CONNECT_TIMEOUT,
    read_timeout=READ_TIMEOUT,
    max_pool_connections=CONNECTIONS,
    retries={"total_max_attempts": 1},
    tcp_keepalive=True,
    # Shorter than DynamoDB keeps an idle connection, so that a request seldom meets one just closed.
    connector_args={"keepalive_timeout": 30},
)


async def prime() -> None:
    """Load what a table's client is made from. Raises LedgerUnavailable where the configuration is wrong."""
    try:
        await aws.prime("dynamodb")
    except (BotoCoreError, ValueError) as error:
        raise LedgerUnavailable(f"the AWS configuration: {error}") from error


class ConditionFailed(Exception):
    """A write's condition did not hold, so nothing was written. `item` is as it was; None where there is none."""

    def __init__(self, item: Item | None) -> None:
        super().__init__("the condition does not hold")
        self.item = item


@dataclass(frozen=True, slots=True)
class Deletion:
    """In a transaction: that there is no such item any more, if there was one."""

    key: Key


Write = Update | Item | Deletion


class Table:
    """One table."""

    def __init__(self, name: str, client: Any, stack: AsyncExitStack) -> None:
        self.name = name
        self.client = client
        self._stack = stack

    @classmethod
    async def connect(cls, name: str) -> "Table":
        """A table's client. Sends nothing yet. Raises LedgerUnavailable where the configuration is wrong."""
        stack = AsyncExitStack()
        try:
            client = await stack.enter_async_context(aws.client("dynamodb", _CONFIG))
        except (BotoCoreError, ValueError) as error:
            raise LedgerUnavailable(f"the AWS configuration: {error}") from error
        return cls(name, client, stack)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._stack.aclose()

    async def describe(self) -> dict[str, Any]:
        """The table itself. LedgerUnavailable where there is none."""
        answer = await self._ask(lambda: self.client.describe_table(TableName=self.name))
        description: dict[str, Any] = answer["Table"]
        return description

    async def get(self, key: Key) -> Item | None:
        """An item as it is now."""
        answer = await self._ask(
            lambda: self.client.get_item(TableName=self.name, Key=item_to_wire(key), ConsistentRead=True)
        )
        return _item(answer.get("Item"))

    async def get_all(self, keys: Sequence[Key]) -> list[Item]:
        """Those of the items that there are, in any order."""
        found: list[Item] = []
        for begin in range(0, len(keys), _BATCH):
            wanted: list[Any] = [item_to_wire(key) for key in keys[begin : begin + _BATCH]]
            patience = Patience()
            while wanted:
                answer = await self._batch(wanted)
                found += map(item_from_wire, answer["Responses"].get(self.name, ()))
                wanted = answer.get("UnprocessedKeys", {}).get(self.name, {}).get("Keys", [])
                if wanted and not await patience.pause():
                    raise LedgerUnavailable("the table is throttled")
        return found

    async def _batch(self, wanted: list[Any]) -> dict[str, Any]:
        request = {self.name: {"Keys": wanted, "ConsistentRead": True}}
        return await self._ask(lambda: self.client.batch_get_item(RequestItems=request))

    async def query(self, partition: str, low: str = "", high: str = "") -> list[Item]:
        """A partition's items in order of their sort keys; with `high`, those from `low` to `high`."""
        condition, values = "#pk = :pk", {":pk": to_wire(partition)}
        names = {"#pk": "pk"}
        if high:
            condition += " AND #sk BETWEEN :low AND :high"
            values |= {":low": to_wire(low or " "), ":high": to_wire(high)}
            names["#sk"] = "sk"
        return [
            item
            async for item in self._pages(
                self.client.query,
                KeyConditionExpression=condition,
                ExpressionAttributeNames=names,
                ExpressionAttributeValues=values,
            )
        ]

    async def page(
        self,
        partition: str,
        *,
        after: str | None = None,
        limit: int,
        newest_first: bool = False,
        only: tuple[str, str] | None = None,
    ) -> list[Item]:
        """The first items of a partition by their sort keys, or the last; of those past the sort key `after`.

        `only` is an attribute with the value that it must have. What has another is read, too, and passed over.
        """
        names, values, asked = {"#pk": "pk"}, {":pk": partition}, {"KeyConditionExpression": "#pk = :pk"}
        if after is not None:
            names["#sk"], values[":after"] = "sk", after
            asked["KeyConditionExpression"] += f" AND #sk {'<' if newest_first else '>'} :after"
        if only is not None:
            names["#only"], values[":only"] = only
            asked["FilterExpression"] = "#only = :only"
        pages = self._pages(
            self.client.query,
            **asked,
            **({} if only else {"Limit": limit}),
            ScanIndexForward=not newest_first,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues=item_to_wire(values),
        )
        return await _first(pages, limit)

    async def scan(self, prefix: str) -> AsyncIterator[Item]:
        """Every item of the table whose partition key begins so. Reads the whole table."""
        async for item in self._pages(
            self.client.scan,
            FilterExpression="begins_with(#pk, :prefix)",
            ExpressionAttributeNames={"#pk": "pk"},
            ExpressionAttributeValues={":prefix": to_wire(prefix)},
        ):
            yield item

    async def _pages(self, operation: Callable[..., Awaitable[Any]], **parameters: Any) -> AsyncIterator[Item]:
        start: dict[str, Any] = {}
        while True:
            request = {"TableName": self.name, "ConsistentRead": True, **parameters, **start}
            answer = await self._ask(lambda request=request: operation(**request))  # type: ignore[misc]
            for item in answer["Items"]:
                yield item_from_wire(item)
            if "LastEvaluatedKey" not in answer:
                return
            start = {"ExclusiveStartKey": answer["LastEvaluatedKey"]}

    async def update(self, update: Update) -> Item:
        """Change an item; as it is then. Raises ConditionFailed."""
        request = update.request()
        answer = await self._write(
            lambda: self.client.update_item(
                TableName=self.name,
                ReturnValues="ALL_NEW",
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **request,
            ),
            request["Key"],
        )
        return item_from_wire(answer["Attributes"])

    async def put(self, item: Item, *, unless: str = "attribute_not_exists(pk)", values: Item | None = None) -> None:
        """Write a whole item, where there is none, or where `unless` holds of it. Raises ConditionFailed."""
        wire = item_to_wire(item)
        given = {"ExpressionAttributeValues": item_to_wire(values)} if values else {}
        await self._write(
            lambda: self.client.put_item(
                TableName=self.name,
                Item=wire,
                ConditionExpression=unless,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **given,
            ),
            {"pk": wire["pk"], "sk": wire["sk"]},
        )

    async def delete(
        self,
        key: Key,
        condition: str = "attribute_exists(pk)",
        *,
        names: dict[str, str] | None = None,
        values: dict[str, Value] | None = None,
    ) -> None:
        """Delete an item, where there is one, or where the condition holds of it. Raises ConditionFailed."""
        given: dict[str, Any] = {"ExpressionAttributeNames": names} if names else {}
        if values:
            given["ExpressionAttributeValues"] = item_to_wire(values)
        await self._write(
            lambda: self.client.delete_item(
                TableName=self.name,
                Key=item_to_wire(key),
                ConditionExpression=condition,
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                **given,
            ),
            item_to_wire(key),
        )

    async def transact(self, first: Update | Item, *others: Write) -> None:
        """Some writes, all or none; the first is the one with a condition. Raises ConditionFailed of it.

        A token makes the tries of one call one transaction, for ten minutes; the condition does for ever.
        """
        writes = [self._transacted(first, old=True), *map(self._transacted, others)]
        token = secrets.token_hex(16)
        try:
            await self._ask(lambda: self.client.transact_write_items(TransactItems=writes, ClientRequestToken=token))
        except ClientError as error:
            reasons = error.response.get("CancellationReasons", ())
            if not any(reason.get("Code") == REFUSED for reason in reasons):
                raise
            raise ConditionFailed(_item(reasons[0].get("Item"))) from error

    def _transacted(self, write: Write, *, old: bool = False) -> dict[str, Any]:
        returned = {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"} if old else {}
        if isinstance(write, Deletion):
            return {"Delete": {"TableName": self.name, "Key": item_to_wire(write.key)}}
        if isinstance(write, Update):
            return {"Update": {"TableName": self.name, **write.request(), **returned}}
        put = {"TableName": self.name, "Item": item_to_wire(write), "ConditionExpression": "attribute_not_exists(pk)"}
        return {"Put": {**put, **returned}}

    async def _write(self, request: Callable[[], Awaitable[Any]], key: dict[str, Any]) -> dict[str, Any]:
        try:
            return await self._ask(request)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                raise
            if "Item" in error.response:
                raise ConditionFailed(_item(error.response["Item"])) from error
        # An item that was not there is not sent; nor does every stand-in for DynamoDB send one that was.
        answer = await self._ask(lambda: self.client.get_item(TableName=self.name, Key=key, ConsistentRead=True))
        raise ConditionFailed(_item(answer.get("Item")))

    async def _ask(self, request: Callable[[], Awaitable[T]]) -> T:
        """The answer, after as many tries as it takes within PATIENCE."""
        patience = Patience()
        while True:
            try:
                async with asyncio.timeout(patience.left):
                    return await request()
            except TimeoutError as error:  # which is an OSError, too
                raise LedgerUnavailable(f"the table {self.name} did not answer for {PATIENCE:g} seconds") from error
            except (ClientError, BotoCoreError, OSError) as error:
                if not transient(error):
                    raise _explained(error, self.name) from error
                last: Exception = error
            if not await patience.pause():
                raise LedgerUnavailable(f"the table {self.name}: {_one_line(last)}") from last


async def _first(items: AsyncIterator[Item], limit: int) -> list[Item]:
    found: list[Item] = []
    async for item in items:
        found.append(item)
        if len(found) == limit:
            break
    return found


def _explained(error: Exception, table: str) -> Exception:
    """An error that trying again does not mend. A failed condition, and a mistake of ours, stay as they are."""
    if not isinstance(error, ClientError):
        return LedgerUnavailable(f"the table {table}: {_one_line(error)}")
    code = error.response["Error"]["Code"]
    if code in ("ConditionalCheckFailedException", "TransactionCanceledException", "ValidationException"):
        unchanged: Exception = error
        return unchanged
    if code == "ResourceNotFoundException":
        return LedgerUnavailable(f"there is no table {table}; a deployment makes it, or `penstock ledger create`")
    return LedgerUnavailable(f"the table {table}: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def _item(wire: dict[str, Any] | None) -> Item | None:
    return item_from_wire(wire) if wire else None
