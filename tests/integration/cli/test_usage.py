"""What was used, from a ledger with settled requests of two keys, two models and two days."""

import csv
import io
from pathlib import Path

import anyio
import pytest

from penstock.clock import day_of
from penstock.ledger import Account, Bound, Caller, Key, Lease, Reserved, Usage, open_ledger
from penstock.prices import Price
from tests.integration.cli.command import done, here, json_of

PRICE = Price("2026-01-01", 100, 50, 400)
DAY = 24 * 60 * 60 * 1000
FIRST = 1_767_225_600_000  # 2026-01-01T00:00:00Z
REQUESTS = (
    ("keyA", "small", 0, Usage(10, 4, 3)),
    ("keyA", "small", 0, Usage(20, 0, 7)),
    ("keyA", "large", 1, Usage(1_000, 0, 2_345)),
    ("keyB", "small", 1, Usage(5, 5, 1)),
)


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory as `serve` leaves it."""
    data = tmp_path_factory.mktemp("used")
    anyio.run(settle_all, f"sqlite:///{data / 'ledger.db'}")
    return data


async def settle_all(url: str) -> None:
    ledger = await open_ledger(url)
    account = Account("local", "local", FIRST)
    await ledger.create_account(account)
    keys = {name: Key(name, "local", name, "0" * 64, FIRST) for name in ("keyA", "keyB", "idle")}
    for key in keys.values():
        await ledger.create_key(key)
    for number, (key_id, model, day, usage) in enumerate(REQUESTS):
        now = FIRST + day * DAY
        bound = Bound(10_000, 10_000_000)
        lease = Lease(f"req_{number}", "local", key_id, model, bound, PRICE, now, now + 60_000)
        assert isinstance(await ledger.reserve(Caller(account, keys[key_id]), lease), Reserved)
        await ledger.settle(lease, usage, "completed", now + 1_000)
    await ledger.close()


def test_json_adds_up_exactly(used: Path) -> None:
    report = json_of("usage", "--data", used)
    assert [(row["day"], row["key"], row["model"], row["requests"]) for row in report["data"]] == [
        ("2026-01-01", "keyA", "small", 2),
        ("2026-01-02", "keyA", "large", 1),
        ("2026-01-02", "keyB", "small", 1),
    ]
    nano = sum(usage.cost(PRICE) for _, _, _, usage in REQUESTS)
    assert report["total"] == {
        "requests": 4,
        "prompt_tokens": 1_035,
        "cached_prompt_tokens": 9,
        "completion_tokens": 2_356,
        "cost_nano_usd": nano,
        "cost_usd": "0.00104545",
    }
    assert nano == 1_045_450
    assert sum(row["cost_nano_usd"] for row in report["data"]) == nano


@pytest.mark.parametrize(
    ("options", "requests"),
    [
        (("--key", "keyA"), 3),
        (("--key", "idle"), 0),
        (("--since", "2026-01-02"), 2),
        (("--until", "2026-01-01"), 2),
        (("--since", "2026-01-01", "--until", "2026-01-02", "--key", "keyB"), 1),
        (("--since", "2026-01-03"), 0),
    ],
)
def test_a_part_of_it(used: Path, options: tuple[str, ...], requests: int) -> None:
    assert json_of("usage", "--data", used, *options)["total"]["requests"] == requests


def test_one_account_and_one_model(used: Path) -> None:
    assert json_of("usage", "--data", used, "--account", "local", "--model", "small")["total"]["requests"] == 3
    assert json_of("usage", "--data", used, "--model", "nothing")["data"] == []


@pytest.mark.parametrize(
    ("by", "columns", "rows"),
    [("model", ["model"], 2), ("key,day", ["day", "key"], 3), ("account", ["account"], 1), ("account, day", None, 2)],
)
def test_added_up_by_what_is_asked_for(used: Path, by: str, columns: list[str] | None, rows: int) -> None:
    groups = columns or ["day", "account"]
    report = json_of("usage", "--data", used, "--by", by)
    assert [list(row)[: len(groups) + 1] for row in report["data"]] == [[*groups, "requests"]] * rows
    assert sum(row["cost_nano_usd"] for row in report["data"]) == report["total"]["cost_nano_usd"] == 1_045_450
    exported = list(csv.DictReader(io.StringIO(done(here("usage", "--csv", "--data", used, "--by", by)))))
    assert [{name: str(value) for name, value in row.items()} for row in report["data"]] == exported
    header = done(here("usage", "--data", used, "--by", by)).split("\n\n")[0].strip().splitlines()[0]
    assert header.split() == [*groups, "requests", "prompt", "cached", "completion", "cost"]


def test_csv_as_in_rfc_4180(used: Path) -> None:
    text = done(here("usage", "--csv", "--data", used))
    assert text.count("\n") == 4
    (first, *_) = rows = list(csv.DictReader(io.StringIO(text)))
    assert len(rows) == 3
    assert first == {
        "day": day_of(FIRST),
        "account": "local",
        "key": "keyA",
        "model": "small",
        "requests": "2",
        "prompt_tokens": "30",
        "cached_prompt_tokens": "4",
        "completion_tokens": "10",
        "cost_nano_usd": "6800",
        "cost_usd": "0.0000068",
    }


def test_the_table_has_every_figure_whole(used: Path) -> None:
    lines = done(here("usage", "--data", used)).splitlines()
    figures = {line.split()[0]: line.split() for line in lines if line.strip()}
    assert figures["total"] == ["total", "4", "1,035", "9", "2,356", "$0.00104545"]
    assert figures["day"] == ["day", "key", "model", "requests", "prompt", "cached", "completion", "cost"]


def test_an_empty_ledger_says_so(ledger: str) -> None:
    assert done(here("usage", "--ledger", ledger)) == "Nothing was used yet.\n"
    assert json_of("usage", "--ledger", ledger)["total"]["cost_usd"] == "0"
