"""What an edge needs in order to run: a ledger file with an account and a key, a model table, settings.

All of it in one temporary directory. All four limits are set, on the account and on the key, so that each is
looked at; none is ever reached.
"""

import asyncio
import base64
import os
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from penstock import keys
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Account, Key, Ledger, Limits, open_ledger

_MODEL = """\
[models.{name}]
source = "stub"
context_length = 8192

[[models.{name}.prices]]
effective = 2026-01-01
prompt = 0.10
cached_prompt = 0.05
completion = 0.40

"""
_MODELS = "".join(_MODEL.format(name=name) for name in ("stub", "slow"))  # see upstream.py
_ALL_OVER = 24 * 60 * MINUTE  # from now, when no lease of today lives
_ENOUGH = Limits(requests_per_minute=10**9, tokens_per_minute=10**12, concurrent_requests=10**6, monthly_budget=10**15)


@dataclass(frozen=True, slots=True)
class Rig:
    """The directory, and the API key that opens what runs in it."""

    directory: Path
    api_key: str

    @property
    def ledger_url(self) -> str:
        """The address of its ledger."""
        return f"sqlite:///{self.directory / 'ledger.db'}"

    def close_leases(self) -> None:
        """Close what the stub upstream settles not, so that every round finds the ledger as the first did."""

        async def close() -> None:
            ledger = await open_ledger(self.ledger_url)
            try:
                await close_leases(ledger)
            finally:
                await ledger.close()

        asyncio.run(close())

    def environment(self, upstream: str) -> dict[str, str]:
        """The environment of an edge that dispatches to `upstream`."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PENSTOCK_")}
        return inherited | {
            "PENSTOCK_LEDGER_URL": self.ledger_url,
            "PENSTOCK_TICKET_KEYS": f"k1:{base64.b64encode(secrets.token_bytes(32)).decode()}",
            "PENSTOCK_CONFIG": str(self.directory / "penstock.toml"),
            "PENSTOCK_GPU_URL": upstream,
        }


async def close_leases(ledger: Ledger) -> None:
    """Let every lease end that nobody has claimed: as if it had never been reserved."""
    while await ledger.expire(now_ms() + _ALL_OVER):
        pass


@contextmanager
def rig() -> Iterator[Rig]:
    """A rig; its directory is removed at the end."""
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as name:
        directory = Path(name)
        (directory / "penstock.toml").write_text(_MODELS, encoding="utf-8")
        yield Rig(directory, asyncio.run(_key(directory / "ledger.db")))


async def provide(ledger: Ledger) -> str:
    """An account and a key in that ledger; the API key."""
    key, now = keys.mint(), now_ms()
    await ledger.create_account(Account("bench", "bench", now, limits=_ENOUGH))
    await ledger.create_key(Key(key.id, "bench", "bench", key.digest(), now, limits=_ENOUGH))
    return key.reveal()


async def _key(file: Path) -> str:
    ledger = await open_ledger(f"sqlite:///{file}")
    try:
        return await provide(ledger)
    finally:
        await ledger.close()
