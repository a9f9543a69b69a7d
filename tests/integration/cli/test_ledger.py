"""`penstock ledger`: made, checked, cleared of dead leases, and adopted after a restore."""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import orjson

from penstock.clock import MINUTE, now_ms
from penstock.ledger import Bound, Caller, Key, Lease, Ledger, Reserved, Usage, open_ledger
from penstock.prices import Price
from tests.integration.cli.command import done, here, json_of, refused

PRICE = Price("2026-01-01", 100, 50, 400)


def on(url: str, work: Callable[[Ledger], Awaitable[None]]) -> None:
    async def opened() -> None:
        ledger = await open_ledger(url)
        await work(ledger)
        await ledger.close()

    asyncio.run(opened())


async def request(ledger: Ledger, number: int, *, settled: bool, at: int | None = None) -> None:
    """A request of the account `local`."""
    key = Key(f"key-{number}", "local", "", "0" * 64, 1)
    await ledger.create_key(key)
    account = await ledger.account("local")
    assert account is not None
    now = at or now_ms()
    lease = Lease(f"req_{number}", "local", key.id, "demo", Bound(100, 100_000), PRICE, now, now + MINUTE)
    assert isinstance(await ledger.reserve(Caller(account, key), lease), Reserved)
    if settled:
        await ledger.settle(lease, Usage(10, 0, 5), "completed", now + 1)


def test_a_ledger_that_adds_up_says_so_with_its_counts(ledger: str) -> None:
    async def use(opened: Ledger) -> None:
        await request(opened, 1, settled=True)
        await request(opened, 2, settled=False)

    on(ledger, use)
    said = done(here("ledger", "verify", "--ledger", ledger))
    assert said == "1 account, 1 live lease, 1 record of $0.000003, 1 row of usage.\nEverything adds up.\n"
    report = json_of("ledger", "verify", "--ledger", ledger)
    assert report == {
        "accounts": 1,
        "leases": 1,
        "records": 1,
        "rows": 1,
        "cost_nano_usd": 3_000,
        "cost_usd": "0.000003",
        "findings": [],
    }


def test_what_does_not_add_up_is_told_and_fails(ledger_file: str) -> None:
    on(ledger_file, lambda opened: request(opened, 1, settled=True))
    with sqlite3.connect(ledger_file.removeprefix("sqlite:///")) as file:
        file.execute("UPDATE rollups SET completion_tokens = completion_tokens + 1")
    file.close()
    result = here("ledger", "verify", "--ledger", ledger_file)
    assert (result.returncode, result.stderr) == (1, "")
    assert "adds up" not in result.stdout
    counts, *findings, number = result.stdout.splitlines()
    assert counts.startswith("1 account,")
    assert number == f"{len(findings)} finding{'' if len(findings) == 1 else 's'}."
    result = here("ledger", "verify", "--json", "--ledger", ledger_file)
    assert result.returncode == 1
    told = orjson.loads(result.stdout)["findings"]
    assert [f"{one['kind']} {one['subject']}: {one['message']}" for one in told] == findings


def test_expire_closes_every_dead_lease_and_says_how_many(ledger: str) -> None:
    async def abandon(opened: Ledger) -> None:
        await request(opened, 1, settled=False, at=now_ms() - 10 * MINUTE)
        await request(opened, 2, settled=False, at=now_ms() - 10 * MINUTE)
        await request(opened, 3, settled=False)

    on(ledger, abandon)
    assert done(here("ledger", "expire", "--ledger", ledger)) == "2 leases were closed.\n"
    assert done(here("ledger", "expire", "--ledger", ledger)) == "0 leases were closed.\n"
    assert json_of("ledger", "verify", "--ledger", ledger)["leases"] == 1


def test_a_ledger_file_is_made_once(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'new.db'}"
    for _ in range(2):
        assert done(here("ledger", "create", "--ledger", url)) == f"{url} is there.\n"
    done(here("accounts", "create", "local", "--ledger", url))
    assert "not available" in refused(here("ledger", "create", "--ledger", f"sqlite:///{tmp_path}/no/where/l.db"))


def test_a_table_is_made_once(unmade_table: str) -> None:
    url = unmade_table
    assert "not available" in refused(here("accounts", "list", "--ledger", url))
    for _ in range(2):
        assert done(here("ledger", "create", "--ledger", url)) == f"{url} is there.\n"
    done(here("accounts", "create", "local", "--ledger", url))
    assert json_of("accounts", "list", "--ledger", url)["accounts"][0]["id"] == "local"


def restore(url: str, restored: str) -> None:
    """Make another table with the same items, as a restore does."""
    from aiobotocore.session import get_session

    done(here("ledger", "create", "--ledger", restored))

    async def copy() -> None:
        async with get_session().create_client("dynamodb") as client:
            for item in (await client.scan(TableName=url.removeprefix("dynamodb://")))["Items"]:
                await client.put_item(TableName=restored.removeprefix("dynamodb://"), Item=item)

    asyncio.run(copy())


def usable(url: str) -> dict[str, bool]:
    return {key["name"]: key["usable"] for key in json_of("keys", "list", "--ledger", url)["keys"]}


def test_a_restored_table_opens_once_its_revocations_are_carried_over(dynamodb_url: str, unmade_table: str) -> None:
    done(here("accounts", "create", "local", "--ledger", dynamodb_url))
    made = {name: json_of("keys", "create", "--name", name, "--ledger", dynamodb_url) for name in ("kept", "leaked")}
    restore(dynamodb_url, restored := unmade_table)
    done(here("keys", "revoke", made["leaked"]["id"], "--ledger", dynamodb_url))
    assert "not available" in refused(here("keys", "list", "--ledger", restored))
    said = done(here("ledger", "adopt", "--revocations-from", dynamodb_url, "--ledger", restored))
    assert said.endswith("is in use; 1 key was revoked in it.\n")
    assert usable(restored) == {"kept": True, "leaked": False}


def test_a_restored_table_whose_old_one_is_gone_opens_with_no_key(dynamodb_url: str, unmade_table: str) -> None:
    done(here("accounts", "create", "local", "--ledger", dynamodb_url))
    for name in ("a", "b"):
        json_of("keys", "create", "--name", name, "--ledger", dynamodb_url)
    restore(dynamodb_url, restored := unmade_table)
    said = done(here("ledger", "adopt", "--revoke-all", "--ledger", restored))
    assert said.endswith("is in use; 2 keys were revoked in it.\n")
    assert usable(restored) == {"a": False, "b": False}
