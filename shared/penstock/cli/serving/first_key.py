"""The account and the key that a first `penstock serve` makes, so that there is something to paste."""

from dataclasses import dataclass

from penstock.cli.data import DataDirectory
from penstock.clock import now_ms
from penstock.keys import mint, parse
from penstock.ledger import Account, Key, Ledger

ACCOUNT = "local"


@dataclass(frozen=True, slots=True)
class FirstKey:
    """What there is to say of keys: a `new` one, to be shown this once, and whether a kept one opens."""

    new: str | None
    kept: bool


async def first_key(ledger: Ledger, data: DataDirectory) -> FirstKey:
    """Make the account, and its first key, where there is none. The key is kept in the data directory."""
    if not any(account.id == ACCOUNT for account in await ledger.accounts()):
        await ledger.create_account(Account(ACCOUNT, "This machine", now_ms()))
    if await ledger.keys():
        return FirstKey(None, await _opens(ledger, data.kept_key()))
    key = mint()
    # Kept first: should this process die here, the next start makes another key, and shows it.
    data.keep_key(key.reveal())
    await ledger.create_key(Key(key.id, ACCOUNT, "first", key.digest(), now_ms()))
    return FirstKey(key.reveal(), kept=True)


async def _opens(ledger: Ledger, text: str | None) -> bool:
    key = parse(text) if text is not None else None
    caller = await ledger.caller(key.id) if key is not None else None
    return caller is not None and caller.key.usable(now_ms())
