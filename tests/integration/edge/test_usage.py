"""`/v1/usage` and `/admin/v1/usage`: grouped, filtered and exported; what is reported adds up to the records."""

import csv
import io
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from penstock.clock import MINUTE, day_of, now_ms
from penstock.keys import mint
from penstock.ledger import Bound, Caller, Lease, Ledger, Reserved, Usage
from penstock.prices import Price
from tests.integration.edge.administrator import Administrator, admin
from tests.integration.edge.deployment import Deployment, Owner, enrol

__all__ = ["admin"]

pytestmark = pytest.mark.anyio

PRICE = Price("2026-01-01", 100, 50, 400)
DAY = 24 * 60 * MINUTE
FIRST = now_ms() - 3 * DAY
USED = (("demo", 0, Usage(10, 4, 3)), ("demo", 0, Usage(20, 0, 7)), ("acme/large", 1, Usage(1_000, 0, 2_345)))


async def use(ledger: Ledger, caller: Caller, used: Sequence[tuple[str, int, Usage]] = USED) -> int:
    """Settle these requests of the caller; what they cost in nano-dollars."""
    for number, (model, day, usage) in enumerate(used):
        now = FIRST + day * DAY
        lease = Lease(
            f"req_{caller.key.id}_{number}",
            caller.account.id,
            caller.key.id,
            model,
            Bound(10_000, 10_000_000),
            PRICE,
            now,
            now + MINUTE,
        )
        assert isinstance(await ledger.reserve(caller, lease), Reserved)
        await ledger.settle(lease, usage, "completed", now + 1_000)
    return sum(usage.cost(PRICE) for _, _, usage in used)


async def sibling(deployment: Deployment) -> Owner:
    """Another key of the owner's account."""
    secret = mint()
    key = replace(deployment.owner.caller.key, id=secret.id, digest=secret.digest())
    await deployment.ledger.create_key(key)
    return Owner(Caller(deployment.owner.caller.account, key), secret)


SINCE = f"since={day_of(FIRST)}"


async def report(deployment: Deployment, query: str) -> Any:
    response = await deployment.get(f"/v1/usage?{SINCE}&{query}")
    assert response.status_code == 200, response.text
    return response.json()


async def test_a_key_sees_its_own_usage_and_its_accounts_where_it_asks(deployment: Deployment) -> None:
    other, stranger = await sibling(deployment), await enrol(deployment.ledger)
    cost = await use(deployment.ledger, deployment.owner.caller)
    await use(deployment.ledger, stranger.caller)
    others = await use(deployment.ledger, other.caller, USED[:1])
    own = await report(deployment, "")
    assert (own["key"], own["total_cost_nano_usd"], own["total_requests"]) == (deployment.owner.key.id, cost, 3)
    assert {row["key"] for row in own["data"]} == {deployment.owner.key.id}
    account = await report(deployment, "of=account&group_by=key")
    assert account["key"] is None
    assert account["total_cost_nano_usd"] == cost + others
    assert {row["key"]: row["cost_nano_usd"] for row in account["data"]} == {
        deployment.owner.key.id: cost,
        other.key.id: others,
    }


@pytest.mark.parametrize(
    ("group_by", "groups"),
    [("day", 2), ("model", 2), ("key", 1), ("day,model", 2), ("model,day", 2), ("day,key,model", 2)],
)
async def test_any_grouping_adds_up_to_the_same(deployment: Deployment, group_by: str, groups: int) -> None:
    cost = await use(deployment.ledger, deployment.owner.caller)
    got = await report(deployment, f"group_by={group_by}")
    assert len(got["data"]) == groups
    assert got["group_by"] == group_by.split(",")
    for row in got["data"]:
        assert {"day", "account", "key", "model"} & row.keys() == set(group_by.split(","))
    assert sum(row["cost_nano_usd"] for row in got["data"]) == got["total_cost_nano_usd"] == cost
    assert sum(row["requests"] for row in got["data"]) == 3
    assert sum(row["completion_tokens"] for row in got["data"]) == 2_355


async def test_one_model(deployment: Deployment) -> None:
    await use(deployment.ledger, deployment.owner.caller)
    got = await report(deployment, "model=acme/large")
    assert [(row["model"], row["requests"]) for row in got["data"]] == [("acme/large", 1)]
    assert got["total_cost_nano_usd"] == USED[2][2].cost(PRICE)
    assert (await report(deployment, "model=nope"))["data"] == []


async def test_csv_as_in_rfc_4180(deployment: Deployment) -> None:
    await use(deployment.ledger, deployment.owner.caller)
    response = await deployment.get(f"/v1/usage?{SINCE}&format=csv&group_by=day,model")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert "usage.csv" in response.headers["content-disposition"]
    assert response.text.count("\r\n") == response.text.count("\n") == 3
    rows = list(csv.DictReader(io.StringIO(response.text)))
    assert rows[0] == {
        "day": day_of(FIRST),
        "model": "demo",
        "requests": "2",
        "prompt_tokens": "30",
        "cached_prompt_tokens": "4",
        "completion_tokens": "10",
        "cost_nano_usd": "6800",
        "cost_usd": "0.0000068",
    }


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("group_by=", "group_by[0]"),
        ("group_by=hour", "group_by[0]"),
        ("group_by=day,account", "group_by[1]"),
        ("group_by=day,day", "group_by"),
        ("of=everybody", "of"),
        ("format=xml", "format"),
        ("model=%20", "model"),
        ("since=2026-01-02&until=2026-01-01", "since"),
        ("since=2020-01-01&until=2021-02-04", "since"),
        ("until=2026-01-01&until=2026-01-02", "until"),
        ("key=another", "key"),
    ],
)
async def test_what_is_wrong_is_named(deployment: Deployment, query: str, param: str) -> None:
    response = await deployment.get(f"/v1/usage?{query}")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param


async def test_a_report_of_400_days_and_no_more(deployment: Deployment) -> None:
    response = await deployment.get("/v1/usage?since=2020-01-01&until=2021-02-03")
    assert response.status_code == 200
    assert response.json()["since"] == "2020-01-01"


async def test_without_since_it_is_the_month_of_until(deployment: Deployment) -> None:
    got = (await deployment.get("/v1/usage?until=2025-02-28")).json()
    assert (got["since"], got["until"]) == ("2025-02-01", "2025-02-28")


async def test_a_report_that_is_too_long_is_refused(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    await use(deployment.ledger, deployment.owner.caller)
    monkeypatch.setattr("penstock.statement.MAX_LINES", 1)
    for form in ("json", "csv"):
        response = await deployment.get(f"/v1/usage?{SINCE}&format={form}")
        assert (response.status_code, response.json()["error"]["code"]) == (400, "report_too_large")
        assert (await deployment.get(f"/v1/usage?{SINCE}&format={form}&group_by=key")).status_code == 200


async def test_an_admin_sees_everybody(admin: Administrator) -> None:
    deployment = admin.deployment
    other = await enrol(deployment.ledger)
    cost = await use(deployment.ledger, deployment.owner.caller)
    others = await use(deployment.ledger, other.caller, USED[:1])
    every = await admin.done("GET", f"/usage?{SINCE}")
    assert every["total_cost_nano_usd"] == cost + others
    assert every["group_by"] == ["day", "account", "key", "model"]
    by_account = await admin.done("GET", f"/usage?{SINCE}&group_by=account")
    assert {row["account"]: row["cost_nano_usd"] for row in by_account["data"]} == {
        deployment.owner.caller.account.id: cost,
        other.caller.account.id: others,
    }
    one = await admin.done("GET", f"/usage?{SINCE}&account={other.caller.account.id}")
    assert one["total_cost_nano_usd"] == others
    one = await admin.done("GET", f"/usage?{SINCE}&key={other.key.id}&model=demo")
    assert one["total_cost_nano_usd"] == others
    nothing = await admin.done("GET", f"/usage?{SINCE}&key={other.key.id}&account={deployment.owner.caller.account.id}")
    assert nothing["data"] == []
    exported = await admin.call("GET", f"/usage?{SINCE}&format=csv")
    rows = list(csv.DictReader(io.StringIO(exported.text)))
    assert sum(int(row["cost_nano_usd"]) for row in rows) == cost + others
    assert {row["account"] for row in rows} == {deployment.owner.caller.account.id, other.caller.account.id}


async def test_an_admin_who_asks_for_somebody_unknown_is_told(admin: Administrator) -> None:
    assert (await admin.refused(404, "GET", "/usage?account=nobody"))["param"] == "account"
    assert (await admin.refused(404, "GET", "/usage?key=nobody"))["param"] == "key"
    assert (await admin.refused(400, "GET", "/usage?account=a%20b"))["param"] == "account"
