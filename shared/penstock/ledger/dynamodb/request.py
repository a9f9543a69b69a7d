"""A request's record: one item from the claim on, through checkpoints, to its settlement.

    (none) ── claim ──► claimed ── settle ──────────► settled
       │                   └────── expire ──► lost ── settle, late ──► settled
       └── release, expire ──► closed ─────────────── settle, late ──► settled

Every change is conditional on the state before it, so each happens once, whoever is first. `counted_*` is
what the account's counts hold, or will hold, in place of what was set aside; `owed_*` is what a late
settlement still has to add to them.
"""

from penstock.clock import SECOND
from penstock.ledger.dynamodb.expression import Update
from penstock.ledger.dynamodb.keys import request_key
from penstock.ledger.dynamodb.schema import EXPIRES
from penstock.ledger.dynamodb.values import Item, Value
from penstock.ledger.limits import Amount
from penstock.ledger.records import Bound, Lease, Usage, UsageRecord
from penstock.prices import Price

CLAIMED, CLOSED, LOST, SETTLED = "claimed", "closed", "lost", "settled"
BOOKED = (LOST, SETTLED)  # these have usage in the sums

KEPT = 90 * 24 * 3_600  # seconds; then DynamoDB deletes the record, and its money stays in the sums


def record(lease: Lease) -> Update:
    """A change of the lease's record, which says whose it is and when it ends."""
    price = lease.price
    several: dict[str, Value] = {"requests": lease.requests} if lease.requests > 1 else {}
    return Update(request_key(lease.id)).set(
        request_id=lease.id,
        account_id=lease.account_id,
        key_id=lease.key_id,
        model=lease.model,
        reserved_at=lease.reserved_at,
        price_version=price.version,
        price_prompt=price.prompt,
        price_cached_prompt=price.cached_prompt,
        price_completion=price.completion,
        **several,
        **{EXPIRES: lease.reserved_at // SECOND + KEPT},
    )


def lease_of(item: Item) -> Lease:
    """The lease of a record that was claimed, or settled."""
    return Lease(
        id=item["request_id"],
        account_id=item["account_id"],
        key_id=item["key_id"],
        model=item["model"],
        bound=aside_of(item),
        price=price_of(item),
        reserved_at=item["reserved_at"],
        deadline=int(item.get("deadline", 0)),
        requests=requests_of(item),
    )


def requests_of(item: Item) -> int:
    """How many requests the record is about: one, where it does not say."""
    requests: int = item.get("requests", 1)
    return requests


def price_of(item: Item) -> Price:
    """The price that the request was reserved at."""
    return Price(item["price_version"], item["price_prompt"], item["price_cached_prompt"], item["price_completion"])


def aside_of(item: Item) -> Bound:
    """What is set aside for a claimed request."""
    return Bound(item.get("aside_tokens", 0), item.get("aside_nano", 0))


def usage_of(item: Item) -> Usage:
    """The usage so far, or in the end."""
    return Usage(item.get("prompt_tokens", 0), item.get("cached_prompt_tokens", 0), item.get("completion_tokens", 0))


def usage_values(usage: Usage) -> dict[str, Value]:
    """The usage as attributes."""
    return {
        "prompt_tokens": usage.prompt_tokens,
        "cached_prompt_tokens": usage.cached_prompt_tokens,
        "completion_tokens": usage.completion_tokens,
    }


def counted(amount: Amount) -> dict[str, Value]:
    """What the account's counts hold for the request."""
    return {
        "counted_requests": amount.requests,
        "counted_tokens": amount.tokens,
        "counted_nano": amount.nano,
    }


def counted_of(item: Item) -> Amount:
    """The same, from the record."""
    tokens = item["counted_tokens"]
    return Amount(item["counted_requests"], tokens, item["counted_nano"], tokens)


def owed(amount: Amount) -> dict[str, Value]:
    """What the account's counts lack of the request."""
    return {"owed_requests": amount.requests, "owed_tokens": amount.tokens, "owed_nano": amount.nano}


def owed_of(item: Item) -> Amount | None:
    """The same, from the record; None where nothing is owed."""
    if "owed_tokens" not in item:
        return None
    return Amount(item["owed_requests"], item["owed_tokens"], item["owed_nano"], item["owed_tokens"])


def usage_record(item: Item) -> UsageRecord:
    """The usage record in the item of a request that is booked."""
    lease = lease_of(item)
    return UsageRecord(
        request_id=lease.id,
        account_id=lease.account_id,
        key_id=lease.key_id,
        model=lease.model,
        day=lease.day,
        usage=usage_of(item),
        nano=item["nano"],
        price_version=lease.price.version,
        outcome=item["outcome"],
        provisional=item["state"] == LOST,
        reserved_at=lease.reserved_at,
        settled_at=item["settled_at"],
        requests=lease.requests,
    )
