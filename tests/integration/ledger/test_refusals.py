"""A refused reservation changes nothing: not one attribute of one item, not one row."""

import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from typing import Any

import pytest

from penstock.clock import MINUTE, SECOND
from penstock.ledger import AccessDenied, Bound, Caller, Lease, Ledger, Limits, Refused
from penstock.ledger.dynamodb.table import Table
from tests.contract.samples import BOUND, NOW, USAGE, enrol, lease_of, live

pytestmark = pytest.mark.anyio

# Each has room for what `busy` does, and not for MORE.
LIMITS = (
    Limits(requests_per_minute=2),
    Limits(tokens_per_minute=299),
    Limits(concurrent_requests=1),
    Limits(monthly_budget=599_999),
    Limits(monthly_tokens=299),
)
MORE = Bound(tokens=250, nano=500_000)


async def contents(url: str) -> Any:
    """All that the store holds."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        with closing(sqlite3.connect(rest.removeprefix("/"))) as db:
            return list(db.iterdump())
    table = await Table.connect(rest)
    try:
        items = [item async for item in table._pages(table.client.scan)]
    finally:
        await table.close()
    return sorted(items, key=lambda item: (item["pk"], item["sk"]))


async def caller_now(ledger: Ledger) -> Caller:
    caller = await ledger.caller("acme-key")
    assert caller is not None
    return caller


async def busy(ledger: Ledger, caller: Caller) -> None:
    """One request was settled, which gave back what it had not used, and one is running."""
    used = await live(ledger, caller, lease_of(caller, "req_used"))
    await ledger.settle(used, USAGE, "stop", NOW)
    await live(ledger, caller, lease_of(caller, "req_running"))


async def refuses(ledger: Ledger, url: str, caller: Caller, lease: Lease) -> Refused | None:
    """The refusal; None where access is denied. It changed nothing, nor did its repetition."""
    before = await contents(url)
    outcome: Any = None
    for _ in "12":
        try:
            outcome = await ledger.reserve(caller, lease)
            assert isinstance(outcome, Refused)
        except AccessDenied:
            outcome = None
        assert await contents(url) == before
    refusal: Refused | None = outcome
    return refusal


@pytest.mark.parametrize("scope", ["account", "key"])
@pytest.mark.parametrize("limits", LIMITS)
async def test_a_refusal_by_any_limit_changes_nothing(
    ledger: Ledger, ledger_url: str, limits: Limits, scope: str
) -> None:
    await (enrol(ledger, account=limits) if scope == "account" else enrol(ledger, key=limits))
    caller = await caller_now(ledger)
    await busy(ledger, caller)
    refusal = await refuses(ledger, ledger_url, caller, lease_of(caller, "req_more", bound=MORE))
    assert refusal is not None
    assert (refusal.scope, refusal.hopeless) == (scope, False)


@pytest.mark.parametrize("limits", LIMITS)
async def test_the_refusal_of_a_hopeless_request_changes_nothing(
    ledger: Ledger, ledger_url: str, limits: Limits
) -> None:
    small = Limits(**{one.name: None if getattr(limits, one.name) is None else 0 for one in fields(Limits)})
    await enrol(ledger, account=small)
    caller = await caller_now(ledger)
    refusal = await refuses(ledger, ledger_url, caller, lease_of(caller))
    assert refusal is not None
    assert refusal.hopeless


@pytest.mark.parametrize("cached", [True, False])
@pytest.mark.parametrize("why", ["account off", "key revoked", "key expired"])
async def test_the_denial_of_who_may_not_changes_nothing(
    ledger: Ledger, ledger_url: str, why: str, cached: bool
) -> None:
    await enrol(ledger)
    caller = await caller_now(ledger)
    await busy(ledger, caller)
    if why == "account off":
        await ledger.set_account("acme", enabled=False, limits=Limits())
    elif why == "key revoked":
        await ledger.revoke_key("acme-key", NOW)
    else:
        await ledger.expire_key("acme-key", NOW + SECOND)
    caller = caller if cached else await caller_now(ledger)
    assert await refuses(ledger, ledger_url, caller, lease_of(caller, "req_more", at=NOW + MINUTE)) is None


async def test_the_denial_of_strangers_changes_nothing(ledger: Ledger, ledger_url: str) -> None:
    caller = await enrol(ledger)
    await enrol(ledger, name="bolt")
    for key_id in ("nobody", "bolt-key"):
        stranger = replace(caller, key=replace(caller.key, id=key_id))
        assert await refuses(ledger, ledger_url, stranger, lease_of(stranger, bound=BOUND)) is None
    unknown = replace(
        caller, account=replace(caller.account, id="nobody"), key=replace(caller.key, account_id="nobody")
    )
    assert await refuses(ledger, ledger_url, unknown, lease_of(unknown)) is None
