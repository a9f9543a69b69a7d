"""The schedule as EventBridge invokes it, on a table of DynamoDB: what died is closed, what is open goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import orjson
import pytest

from penstock.batches import addresses, open_book
from penstock.batches.records import Status, new_batch_id
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Account, Bound, Caller, Key, Lease, Ledger, LedgerUnavailable, Reserved, open_ledger
from penstock.ledger.dynamodb import patience
from penstock.models import ConfigError
from penstock.prices import Price
from tests.integration.batch.function import Context, Function
from tests.unit.batch.inputs import BATCH

pytestmark = pytest.mark.anyio

DAY = 86_400_000  # milliseconds

PRICE = Price("2026-01-01", 100, 50, 400)
NO_BATCHES = {"batches": 0, "batches_closed": 0, "batches_failed": 0}
EVENT = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


@pytest.fixture
async def ledger(dynamodb_url: str) -> AsyncIterator[Ledger]:
    """The ledger, with an account."""
    opened = await open_ledger(dynamodb_url)
    await opened.create_account(Account("acme", "Acme", 1))
    yield opened
    await opened.close()


@pytest.fixture
async def start(
    dynamodb_url: str, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Function]]:
    """Starts functions on that ledger. Each logs to what is the standard output when it starts."""
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", dynamodb_url)
    monkeypatch.setenv("PENSTOCK_OBJECTS_URL", f"file://{tmp_path}")
    started: list[Function] = []

    def run() -> Function:
        started.append(Function("schedule"))
        return started[-1]

    yield run
    for function in started:
        await function.end()


async def reserve(ledger: Ledger, numbers: range, *, dead: bool) -> None:
    """Requests whose leases are over, or have yet to be claimed."""
    account = await ledger.account("acme")
    assert account is not None
    for number in numbers:
        key = Key(f"key{number}", "acme", "", "0" * 64, 1)
        await ledger.create_key(key)
        now = now_ms() - (2 * MINUTE if dead else 0)
        account = await ledger.account("acme")
        assert account is not None
        lease = Lease(f"req_{number}", "acme", key.id, "demo", Bound(100, 100_000), PRICE, now, now + MINUTE)
        assert isinstance(await ledger.reserve(Caller(account, key), lease), Reserved)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in capsys.readouterr().out.splitlines()]


async def test_what_died_is_closed_and_what_lives_is_not(
    start: Callable[[], Function], ledger: Ledger, capsys: pytest.CaptureFixture[str]
) -> None:
    function = start()
    await reserve(ledger, range(5), dead=True)
    await reserve(ledger, range(5, 7), dead=False)
    assert await function.invoke(EVENT) == {"closed": 5, "finished": True, **NO_BATCHES}
    assert (await ledger.audit(now_ms())).leases == 2
    kept = function.ledger
    assert await function.invoke(EVENT) == {"closed": 0, "finished": True, **NO_BATCHES}
    assert function.ledger is kept
    told = lines(capsys)
    assert [(line["event"], line["closed"], line["finished"]) for line in told if line["event"] == "reconciled"] == [
        ("reconciled", 5, True),
        ("reconciled", 0, True),
    ]
    assert {line["process"] for line in told} == {"schedule"}


async def test_two_at_once_close_each_lease_once(start: Callable[[], Function], ledger: Ledger) -> None:
    await reserve(ledger, range(30), dead=True)
    first, second = await asyncio.gather(start().invoke(EVENT), start().invoke(EVENT))
    assert first["closed"] + second["closed"] == 30
    audit = await ledger.audit(now_ms())
    assert (audit.leases, audit.findings) == (0, ())


async def test_a_ledger_that_is_away_fails_the_invocation(
    start: Callable[[], Function], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(patience.Patience.__init__, "__defaults__", (0.5,))
    function = start()
    with monkeypatch.context() as away:
        away.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(LedgerUnavailable):
            await function.invoke(EVENT)
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["error"]) == ("not_reconciled", "error", "LedgerUnavailable")
    assert await function.invoke(EVENT) == {"closed": 0, "finished": True, **NO_BATCHES}  # it is back


async def test_an_invocation_without_time_fails(start: Callable[[], Function]) -> None:
    function = start()
    with pytest.raises(TimeoutError):
        await function.invoke(EVENT, Context(remaining_s=1))
    assert await function.invoke(EVENT) == {"closed": 0, "finished": True, **NO_BATCHES}


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", "postgres://user:hush@place")
    with pytest.raises(ConfigError, match=r"^PENSTOCK_LEDGER_URL: "):
        Function("schedule")


async def test_batches_go_on_and_one_that_fails_stops_no_other(
    start: Callable[[], Function], dynamodb_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    function = start()
    book = await open_book(dynamodb_url)
    now = now_ms()
    made = [replace(BATCH, id=new_batch_id(now), account_id="acme", created_at=now) for _ in range(3)]
    too_old, fresh, broken = [replace(batch, expires_at=now + DAY) for batch in made]
    too_old = replace(too_old, expires_at=now - 1)
    broken = replace(broken, status=Status.IN_PROGRESS, in_progress_at=now)
    await function.invoke(EVENT)  # opens what it needs
    for batch in (too_old, fresh, broken):
        await book.add_batch(batch)

    async def fails(batch_id: str) -> Any:
        raise RuntimeError(f"{batch_id} cannot be read")

    function.module._function._plant.batches._running.step = fails
    told = await function.invoke(EVENT)
    assert (told["batches"], told["batches_closed"], told["batches_failed"]) == (3, 1, 1)
    ended, waiting = await book.batch(too_old.id), await book.batch(fresh.id)
    await book.close()
    assert ended is not None
    assert waiting is not None
    assert (ended.status, ended.closed) == (Status.EXPIRED, True)
    assert waiting.status is Status.VALIDATING
    # What may take minutes is for the function of the events, which an object calls.
    assert await function.module._function._plant.objects.size(addresses.poke(fresh.id)) is not None
    assert [line["batch"] for line in lines(capsys) if line["event"] == "batch_failed"] == [broken.id]
