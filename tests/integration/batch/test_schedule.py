"""The reconciler as EventBridge invokes it, on a table of DynamoDB: what died is closed, and an absence is an error."""

import asyncio
import importlib
import sys
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from penstock.clock import MINUTE, now_ms
from penstock.ledger import Account, Bound, Caller, Key, Lease, Ledger, LedgerUnavailable, Reserved, open_ledger
from penstock.ledger.dynamodb import patience
from penstock.models import ConfigError
from penstock.prices import Price

pytestmark = pytest.mark.anyio

PRICE = Price("2026-01-01", 100, 50, 400)
EVENT = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}


class Context:
    """What Lambda says of an invocation."""

    def __init__(self, remaining_s: float = 60) -> None:
        self._remaining_s = remaining_s

    def get_remaining_time_in_millis(self) -> int:
        return int(self._remaining_s * 1_000)


class Function:
    """The function in this process: its code imported anew, and invoked in one thread of its own."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1)
        sys.modules.pop("functions.batch.schedule", None)
        self._module: Any = importlib.import_module("functions.batch.schedule")

    async def invoke(self, context: Context | None = None) -> dict[str, Any]:
        """What it answers."""
        loop, invocation = asyncio.get_running_loop(), (EVENT, context or Context())
        answer: dict[str, Any] = await loop.run_in_executor(self._thread, self._module.handler, *invocation)
        return answer

    @property
    def ledger(self) -> Any:
        """The ledger that it keeps open."""
        return self._module._reconciler._ledger

    async def end(self) -> None:
        """As the container's end, but tidy: warnings are errors here."""

        def close() -> None:
            self._module._runner.run(self._module._reconciler.close())
            self._module._runner.close()

        await asyncio.get_running_loop().run_in_executor(self._thread, close)
        self._thread.shutdown()


@pytest.fixture
async def ledger(dynamodb_url: str) -> AsyncIterator[Ledger]:
    """The ledger, with an account."""
    opened = await open_ledger(dynamodb_url)
    await opened.create_account(Account("acme", "Acme", 1))
    yield opened
    await opened.close()


@pytest.fixture
async def start(
    dynamodb_url: str, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Callable[[], Function]]:
    """Starts functions on that ledger. Each logs to what is the standard output when it starts."""
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", dynamodb_url)
    started: list[Function] = []

    def run() -> Function:
        started.append(Function())
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
    assert await function.invoke() == {"closed": 5, "finished": True}
    assert (await ledger.audit(now_ms())).leases == 2
    kept = function.ledger
    assert await function.invoke() == {"closed": 0, "finished": True}
    assert function.ledger is kept
    told = lines(capsys)
    assert [(line["event"], line["closed"], line["finished"]) for line in told] == [
        ("reconciled", 5, True),
        ("reconciled", 0, True),
    ]
    assert {line["process"] for line in told} == {"reconciler"}


async def test_two_at_once_close_each_lease_once(start: Callable[[], Function], ledger: Ledger) -> None:
    await reserve(ledger, range(30), dead=True)
    first, second = await asyncio.gather(start().invoke(), start().invoke())
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
            await function.invoke()
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["error"]) == ("not_reconciled", "error", "LedgerUnavailable")
    assert await function.invoke() == {"closed": 0, "finished": True}  # it is back


async def test_an_invocation_without_time_fails(start: Callable[[], Function]) -> None:
    function = start()
    with pytest.raises(TimeoutError):
        await function.invoke(Context(remaining_s=1))
    assert await function.invoke() == {"closed": 0, "finished": True}


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_LEDGER_URL", "postgres://user:hush@place")
    with pytest.raises(ConfigError, match=r"^PENSTOCK_LEDGER_URL: "):
        Function()
