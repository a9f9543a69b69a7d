"""What was used: the sums, and the records behind them."""

import heapq
from collections import defaultdict
from collections.abc import Sequence

from penstock.ledger.dynamodb.keys import ACCOUNTS, REQUEST, SORT, key_key, request_key, usage_of
from penstock.ledger.dynamodb.request import BOOKED, usage_record
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import Usage, UsageRecord, UsageRow

_COUNTS = ("requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens", "nano")


async def rows(table: Table, account_id: str | None, key_id: str | None, since: str, until: str) -> Sequence[UsageRow]:
    """The sums of the days from `since` to `until`, by day, account, key and model."""
    if since > until:
        return []  # DynamoDB takes no such range
    totals: dict[tuple[str, str, str, str], list[int]] = defaultdict(lambda: [0] * len(_COUNTS))
    for account in await _accounts(table, account_id, key_id):
        # `$` is the character after `#`, so that the last day is in it with all its keys.
        for item in await table.query(usage_of(account), since, f"{until}$"):
            day, key, model, _ = item[SORT].split("#")
            if key_id in (None, key):
                total = totals[day, account, key, model]
                total[:] = [one + item.get(name, 0) for one, name in zip(total, _COUNTS, strict=True)]
    return [_row(*group, total) for group, total in sorted(totals.items())]


async def record(table: Table, request_id: str) -> UsageRecord | None:
    """The record of a request that was settled, or lost."""
    item = await table.get(request_key(request_id))
    return None if item is None or item["state"] not in BOOKED else usage_record(item)


async def records(table: Table, account_id: str | None, limit: int) -> Sequence[UsageRecord]:
    """The latest records, newest first."""
    found = [usage_record(item) async for item in table.scan(REQUEST) if _is_booked(item, account_id)]
    return heapq.nlargest(limit, found, key=lambda one: (one.settled_at, one.request_id))


def _is_booked(item: Item, account_id: str | None) -> bool:
    return item["state"] in BOOKED and account_id in (None, item["account_id"])


async def _accounts(table: Table, account_id: str | None, key_id: str | None) -> list[str]:
    if account_id is not None:
        return [account_id]
    if key_id is not None:
        key = await table.get(key_key(key_id))
        return [] if key is None else [key["account_id"]]
    return [entry[SORT] for entry in await table.query(ACCOUNTS)]


def _row(day: str, account_id: str, key_id: str, model: str, total: list[int]) -> UsageRow:
    requests, prompt, cached, completion, nano = total
    return UsageRow(account_id, key_id, model, day, requests, Usage(prompt, cached, completion), nano)
