"""What an operator does with accounts and keys, on any ledger: make, change, rotate, revoke.

The command line and the edge's admin routes both call this. It checks ids and names, so that neither can
bring into a ledger what the other refuses, and says what cannot be done in one line, as an `AdministrationError`.
Who may administer is for the caller to know; what a change is worth at the next request is the ledger's.

A change reads the account or key and writes it back whole. Of two changes to the same one at the same
time the later stands, and it may undo the earlier one's.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypedDict

from penstock.clock import SECOND
from penstock.keys import ApiKey, mint
from penstock.ledger.protocol import Ledger
from penstock.ledger.records import ADMIN, Account, Key, Limits, Switch

ROUTES = ("chat", "completions", "embeddings", "files", "batches", "models", "usage", ADMIN)
"""The groups of routes that a key's scope may name."""
MAX_SCOPE = 64  # models in a key's scope
MAX_TEXT = 200  # characters of a name, or of a reason
LONGEST = 3_660 * 24 * 60 * 60 * SECOND  # ten years: a longer life or grace was mistyped

_ACCOUNT_RULE = "an account's id has up to 64 letters, digits, - and _"
_KEY_RULE = "a key's id has up to 32 letters, digits and -; it is not the key itself"
_KEY_MARK = "ps_"  # what an API key begins with; as an id it was pasted by mistake
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_ID = re.compile(r"[A-Za-z0-9-]{1,32}")
_LINE = re.compile(r"[^\x00-\x1f\x7f-\x9f\u2028\u2029]*")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}")  # as in `penstock.toml`


class AdministrationError(Exception):
    """It cannot be done; the message is one line, and never holds a key."""


class Invalid(AdministrationError):
    """What was given is malformed; `field` names it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NoSuchAccount(AdministrationError):
    """No account has this id."""


class NoSuchKey(AdministrationError):
    """No key has this id."""


class AccountExists(AdministrationError):
    """An account has this id already."""


class KeyEnded(AdministrationError):
    """The key was revoked or has expired: it cannot be rotated."""


class LimitsChange(TypedDict, total=False):
    """The limits that change; None takes one away, and what is absent stays."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    monthly_budget: int | None  # nano-dollars
    monthly_tokens: int | None


class ScopeChange(TypedDict, total=False):
    """The parts of a key's scope that change; None is every model, or every route but ADMIN."""

    models: frozenset[str] | None
    routes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class Issued:
    """A new key. `secret` is the only place where it is in clear."""

    secret: ApiKey
    key: Key


@dataclass(frozen=True, slots=True)
class Rotated:
    """A new key, and the old one with its end."""

    secret: ApiKey
    key: Key
    old: Key


def check_account(account: Account) -> Account:
    """The account, where its id and name can be those of one. Raises Invalid."""
    if not is_account_id(account.id):
        raise Invalid("id", f"{_ACCOUNT_RULE}, and does not begin with ps_")
    _check_text("name", account.name)
    return account


async def open_account(ledger: Ledger, account: Account) -> Account:
    """Add the account. Raises Invalid or AccountExists."""
    check_account(account)
    try:
        await ledger.create_account(account)
    except ValueError as error:
        raise AccountExists(f"there is an account {account.id!r} already") from error
    return account


async def found_account(ledger: Ledger, account_id: str) -> Account:
    """The account of that id. Raises NoSuchAccount; a malformed id is not looked up."""
    account = await ledger.account(account_id) if is_account_id(account_id) else None
    if account is None:
        raise _no_account(account_id)
    return account


async def change_account(
    ledger: Ledger,
    account_id: str,
    limits: LimitsChange,
    *,
    enabled: bool | None = None,
    keep_answers: bool | None = None,
) -> Account:
    """Change what is given of an account, and leave the rest. Raises NoSuchAccount."""
    account = await found_account(ledger, account_id)
    return await ledger.set_account(
        account_id,
        enabled=account.enabled if enabled is None else enabled,
        limits=replace(account.limits, **limits),
        keep_answers=account.keep_answers if keep_answers is None else keep_answers,
    )


async def issue(
    ledger: Ledger,
    account_id: str,
    *,
    now: int,
    name: str = "",
    limits: Limits | None = None,
    models: frozenset[str] | None = None,
    routes: frozenset[str] | None = None,
    lifetime: int | None = None,
) -> Issued:
    """Make a key that ends after `lifetime` milliseconds, if that is given. Raises Invalid or NoSuchAccount."""
    _check_text("name", name)
    check_models(models)
    check_routes(routes)
    secret = mint()
    key = Key(
        id=secret.id,
        account_id=account_id,
        name=name,
        digest=secret.digest(),
        created_at=now,
        expires_at=None if lifetime is None else now + _span("lifetime", lifetime),
        models=models,
        limits=limits or Limits(),
        routes=routes,
    )
    await _add(ledger, key)
    return Issued(secret, key)


async def found_key(ledger: Ledger, key_id: str) -> Key:
    """The key of that id. Raises NoSuchKey; a malformed id is not looked up."""
    caller = await ledger.caller(key_id) if is_key_id(key_id) else None
    if caller is None:
        raise NoSuchKey(f"there is no key {key_id!r}" if is_key_id(key_id) else _KEY_RULE)
    return caller.key


async def change_key(ledger: Ledger, key_id: str, limits: LimitsChange, scope: ScopeChange) -> Key:
    """Change what is given of a key, and leave the rest. Raises Invalid or NoSuchKey."""
    key = await found_key(ledger, key_id)
    models, routes = scope.get("models", key.models), scope.get("routes", key.routes)
    check_models(models)
    check_routes(routes)
    return await ledger.set_key(key_id, limits=replace(key.limits, **limits), models=models, routes=routes)


async def rotate(ledger: Ledger, key_id: str, *, grace: int, now: int) -> Rotated:
    """Make a key with the account, scope, limits and length of life of another, which ends `grace` ms from now.

    The new key is there before the old one's end is set: should the second write fail, the old one works on, and
    the new one, which nobody has seen, is of no use to anybody. Raises Invalid, NoSuchKey or KeyEnded.
    """
    _span("grace", grace)
    old = await found_key(ledger, key_id)
    if not old.usable(now):
        raise KeyEnded(f"the key {key_id} has ended: make a new one")
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    secret = mint()
    new = replace(
        old,
        id=secret.id,
        digest=secret.digest(),
        created_at=now,
        expires_at=None if lifetime is None else now + lifetime,
    )
    await _add(ledger, new)
    return Rotated(secret, new, await ledger.expire_key(key_id, now + grace))


async def revoke(ledger: Ledger, key_id: str, *, now: int) -> Key:
    """End a key at once; one that was revoked stays as it is. Raises NoSuchKey."""
    await found_key(ledger, key_id)
    return await ledger.revoke_key(key_id, now)


async def set_switch(ledger: Ledger, on: bool, reason: str, *, now: int) -> Switch:
    """Set the switch over everybody; `reason` is told to the callers. Raises Invalid."""
    _check_text("reason", reason)
    switch = Switch(on, reason, now)
    await ledger.set_switch(switch)
    return switch


def is_account_id(text: str) -> bool:
    """Whether the text can be an account's id."""
    return _ACCOUNT_ID.fullmatch(text) is not None and not text.startswith(_KEY_MARK)


def is_key_id(text: str) -> bool:
    """Whether the text can be a key's id. No API key can: it may be shown and logged."""
    return _KEY_ID.fullmatch(text) is not None


def check_models(models: Iterable[str] | None) -> None:
    """Raises Invalid for a scope that is empty or too large, or whose names no model can have."""
    names = list(models) if models is not None else ["any"]
    if not 1 <= len(names) <= MAX_SCOPE or not all(_MODEL.fullmatch(name) for name in names):
        raise Invalid("models", f"1 to {MAX_SCOPE} names of models")


def check_routes(routes: Iterable[str] | None) -> None:
    """Raises Invalid for a scope that is empty, or holds what is no group of routes."""
    names = set(routes) if routes is not None else {ADMIN}
    if not names or not names <= set(ROUTES):
        raise Invalid("routes", f"one or more of {', '.join(ROUTES)}")


def _check_text(field: str, text: str) -> None:
    if len(text) > MAX_TEXT or not _LINE.fullmatch(text):
        raise Invalid(field, f"up to {MAX_TEXT} characters on one line")


def _span(field: str, span: int) -> int:
    if not 0 <= span <= LONGEST:
        raise Invalid(field, "must be from nothing to ten years")
    return span


async def _add(ledger: Ledger, key: Key) -> None:
    if not is_account_id(key.account_id):
        raise _no_account(key.account_id)
    try:
        await ledger.create_key(key)
    except KeyError as error:
        raise _no_account(key.account_id) from error


def _no_account(account_id: str) -> NoSuchAccount:
    return NoSuchAccount(f"there is no account {account_id!r}" if is_account_id(account_id) else _ACCOUNT_RULE)
