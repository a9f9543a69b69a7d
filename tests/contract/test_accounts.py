"""Accounts and keys."""

from dataclasses import replace

import pytest

from penstock.clock import SECOND
from penstock.ledger import ADMIN, Account, Caller, Key, Ledger, Limits
from tests.contract.samples import NOW, enrol

pytestmark = pytest.mark.anyio

LIMITS = Limits(
    requests_per_minute=1,
    tokens_per_minute=0,
    concurrent_requests=None,
    monthly_budget=9_000_000_000,
    monthly_tokens=10**12,
)
ACCOUNT = Account("acme", "Acme Ltd", NOW, enabled=False, limits=LIMITS, keep_answers=False)
KEY = Key(
    id="k1",
    account_id="acme",
    name="laptop",
    digest="ab" * 32,
    created_at=NOW,
    expires_at=NOW + 5,
    revoked_at=NOW + 9,
    models=frozenset({"demo", "other"}),
    limits=LIMITS,
    routes=frozenset({"chat", ADMIN}),
)


async def test_accounts_come_back_as_they_were_created_oldest_first(ledger: Ledger) -> None:
    younger = Account("a", "A", NOW + 1)
    await ledger.create_account(younger)
    await ledger.create_account(ACCOUNT)
    assert list(await ledger.accounts()) == [ACCOUNT, younger]


async def test_an_account_may_be_created_again_but_its_id_is_no_others(ledger: Ledger) -> None:
    await ledger.create_account(ACCOUNT)
    await ledger.create_account(ACCOUNT)
    with pytest.raises(ValueError, match="acme"):
        await ledger.create_account(replace(ACCOUNT, name="Another"))
    assert list(await ledger.accounts()) == [ACCOUNT]


async def test_an_account_is_found_by_its_id(ledger: Ledger) -> None:
    await ledger.create_account(ACCOUNT)
    await ledger.create_account(Account("b", "B", NOW))
    assert await ledger.account("acme") == ACCOUNT
    assert await ledger.account("Acme Ltd") is None


@pytest.mark.parametrize("keep_answers", [True, False])
async def test_set_account_changes_switch_limits_and_retention_only(ledger: Ledger, keep_answers: bool) -> None:
    await ledger.create_account(ACCOUNT)
    limits = Limits(concurrent_requests=3, monthly_tokens=7)
    changed = replace(ACCOUNT, enabled=True, limits=limits, keep_answers=keep_answers)
    assert await ledger.set_account("acme", enabled=True, limits=limits, keep_answers=keep_answers) == changed
    assert list(await ledger.accounts()) == [changed]
    assert await ledger.account("acme") == changed


async def test_an_account_keeps_answers_unless_it_is_said(ledger: Ledger) -> None:
    assert (await enrol(ledger)).account.keep_answers
    await ledger.set_account("acme", enabled=True, limits=Limits(), keep_answers=False)
    assert (await ledger.set_account("acme", enabled=True, limits=Limits())).keep_answers


async def test_set_account_of_nobody(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        await ledger.set_account("nobody", enabled=True, limits=Limits())


async def test_keys_come_back_as_they_were_created_oldest_first(ledger: Ledger) -> None:
    await ledger.create_account(ACCOUNT)
    await ledger.create_account(Account("b", "B", NOW))
    younger = Key("k0", "acme", "ci", "cd" * 32, NOW + 1)
    narrow = Key("k2", "b", "none", "ef" * 32, NOW + 2, models=frozenset(), routes=frozenset())
    for key in (narrow, younger, KEY):
        await ledger.create_key(key)
    assert list(await ledger.keys()) == [KEY, younger, narrow]
    assert list(await ledger.keys("acme")) == [KEY, younger]
    assert list(await ledger.keys("nobody")) == []


async def test_a_key_may_be_created_again_but_its_id_is_no_others(ledger: Ledger) -> None:
    await ledger.create_account(ACCOUNT)
    await ledger.create_key(KEY)
    await ledger.create_key(KEY)
    with pytest.raises(ValueError, match="k1"):
        await ledger.create_key(replace(KEY, digest="00" * 32))
    assert list(await ledger.keys()) == [KEY]


async def test_a_key_needs_its_account(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        await ledger.create_key(KEY)
    assert list(await ledger.keys()) == []


async def test_caller_is_the_key_with_its_account(ledger: Ledger) -> None:
    await ledger.create_account(ACCOUNT)
    await ledger.create_key(KEY)
    assert await ledger.caller("k1") == Caller(ACCOUNT, KEY)
    assert await ledger.caller("k2") is None


async def test_a_changed_account_is_seen_through_its_keys(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    account = await ledger.set_account(caller.account.id, enabled=False, limits=LIMITS)
    assert await ledger.caller(caller.key.id) == Caller(account, caller.key)


@pytest.mark.parametrize("names", [None, frozenset(), frozenset({"b", "a"})])
async def test_set_key_changes_limits_and_scope_only(ledger: Ledger, names: frozenset[str] | None) -> None:
    await ledger.create_account(ACCOUNT)
    other = replace(KEY, id="k2")
    for key in (KEY, other):
        await ledger.create_key(key)
    limits = Limits(tokens_per_minute=5, monthly_tokens=6)
    changed = replace(KEY, limits=limits, models=names, routes=names)
    for _ in range(2):
        assert await ledger.set_key("k1", limits=limits, models=names, routes=names) == changed
    assert await ledger.caller("k1") == Caller(ACCOUNT, changed)
    assert list(await ledger.keys("acme")) == [changed, other]


async def test_set_key_of_nobody(ledger: Ledger) -> None:
    with pytest.raises(KeyError):
        await ledger.set_key("nobody", limits=Limits(), models=None, routes=None)


async def test_a_key_can_be_given_an_end_and_an_earlier_one_stays(ledger: Ledger) -> None:
    key = (await enrol(ledger)).key
    assert await ledger.expire_key(key.id, NOW + SECOND) == replace(key, expires_at=NOW + SECOND)
    assert (await ledger.expire_key(key.id, NOW + 2 * SECOND)).expires_at == NOW + SECOND
    assert (await ledger.expire_key(key.id, NOW - SECOND)).expires_at == NOW - SECOND
    with pytest.raises(KeyError):
        await ledger.expire_key("nobody", NOW)


async def test_the_first_revocation_stays(ledger: Ledger) -> None:
    key = (await enrol(ledger)).key
    assert await ledger.revoke_key(key.id, NOW + 5) == replace(key, revoked_at=NOW + 5)
    assert (await ledger.revoke_key(key.id, NOW)).revoked_at == NOW + 5
    assert list(await ledger.keys()) == [replace(key, revoked_at=NOW + 5)]
    with pytest.raises(KeyError):
        await ledger.revoke_key("nobody", NOW)
