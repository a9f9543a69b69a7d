"""`/admin/v1/accounts`, over real connections."""

from typing import Any

import pytest

from penstock.clock import now_ms
from penstock.ledger import Limits
from tests.integration.edge.administrator import Administrator, admin

__all__ = ["admin"]

pytestmark = pytest.mark.anyio

NO_LIMITS = {
    "requests_per_minute": None,
    "tokens_per_minute": None,
    "concurrent_requests": None,
    "monthly_budget_nano_usd": None,
    "monthly_budget_usd": None,
    "monthly_tokens": None,
}


async def test_an_account_is_made_and_read_back(admin: Administrator) -> None:
    limits = {"requests_per_minute": 60, "monthly_budget_usd": "12.50", "monthly_tokens": 0}
    made = await admin.done("POST", "/accounts", json={"id": "lab-2", "name": "The lab", "limits": limits})
    assert abs(made.pop("created_at") - now_ms() // 1_000) < 60
    assert made == {
        "object": "account",
        "id": "lab-2",
        "name": "The lab",
        "enabled": True,
        "keep_answers": True,
        "limits": {
            **NO_LIMITS,
            "requests_per_minute": 60,
            "monthly_budget_nano_usd": 12_500_000_000,
            "monthly_budget_usd": "12.5",
            "monthly_tokens": 0,
        },
    }
    read = await admin.done("GET", "/accounts/lab-2")
    assert {name: value for name, value in read.items() if name != "created_at"} == made
    kept = await admin.deployment.ledger.account("lab-2")
    assert kept is not None
    assert kept.limits == Limits(60, None, None, 12_500_000_000, 0)


async def test_what_is_absent_stays_and_null_takes_away(admin: Administrator) -> None:
    await admin.done(
        "POST", "/accounts", json={"id": "a", "limits": {"tokens_per_minute": 9, "monthly_budget_nano_usd": 5}}
    )
    changed = await admin.done(
        "PATCH", "/accounts/a", json={"keep_answers": False, "limits": {"concurrent_requests": 2}}
    )
    assert (changed["enabled"], changed["keep_answers"]) == (True, False)
    assert changed["limits"]["tokens_per_minute"] == 9
    assert changed["limits"]["concurrent_requests"] == 2
    changed = await admin.done(
        "PATCH",
        "/accounts/a",
        json={"enabled": False, "limits": {"tokens_per_minute": None, "monthly_budget_usd": None}},
    )
    assert (changed["enabled"], changed["keep_answers"]) == (False, False)
    assert changed["limits"] == {**NO_LIMITS, "concurrent_requests": 2}


async def test_the_limits_of_an_answer_can_be_sent_back(admin: Administrator) -> None:
    made = await admin.done("POST", "/accounts", json={"id": "a", "limits": {"monthly_budget_usd": "0.000000001"}})
    assert made["limits"]["monthly_budget_nano_usd"] == 1
    again = await admin.done("PATCH", "/accounts/a", json={"limits": made["limits"]})
    assert again["limits"] == made["limits"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "id"),
        ({"id": ""}, "id"),
        ({"id": "no/slash"}, "id"),
        ({"id": "x" * 65}, "id"),
        ({"id": "ps_mistaken"}, "id"),
        ({"id": "a", "name": "two\nlines"}, "name"),
        ({"id": "a", "name": "x" * 201}, "name"),
        ({"id": "a", "enabled": "yes"}, "enabled"),
        ({"id": "a", "limits": None}, "limits"),
        ({"id": "a", "limits": {"requests_per_minute": 0}}, "limits.requests_per_minute"),
        ({"id": "a", "limits": {"tokens_per_minute": "9"}}, "limits.tokens_per_minute"),
        ({"id": "a", "limits": {"concurrent_requests": 1.5}}, "limits.concurrent_requests"),
        ({"id": "a", "limits": {"monthly_tokens": 10**16 + 1}}, "limits.monthly_tokens"),
        ({"id": "a", "limits": {"monthly_budget_usd": "-1"}}, "limits.monthly_budget_usd"),
        ({"id": "a", "limits": {"monthly_budget_usd": 5}}, "limits.monthly_budget_usd"),
        ({"id": "a", "limits": {"monthly_budget_usd": "1e3"}}, "limits.monthly_budget_usd"),
        ({"id": "a", "limits": {"monthly_budget_usd": "10000000.000000001"}}, "limits.monthly_budget_usd"),
        (
            {"id": "a", "limits": {"monthly_budget_usd": "1", "monthly_budget_nano_usd": 1}},
            "limits.monthly_budget_usd",
        ),
        ({"id": "a", "limits": {"requests": 1}}, "limits.requests"),
    ],
)
async def test_what_is_wrong_is_named(admin: Administrator, body: dict[str, Any], param: str) -> None:
    error = await admin.refused(400, "POST", "/accounts", json=body)
    assert (error["param"], error["type"]) == (param, "invalid_request_error")
    assert await admin.deployment.ledger.account("a") is None


async def test_an_id_that_is_taken_is_a_409(admin: Administrator) -> None:
    await admin.done("POST", "/accounts", json={"id": "a", "name": "first"})
    assert (await admin.refused(409, "POST", "/accounts", json={"id": "a", "name": "second"}))[
        "code"
    ] == "already_exists"
    assert (await admin.done("GET", "/accounts/a"))["name"] == "first"


@pytest.mark.parametrize("account_id", ["nobody", "ps_", "a.b", "x" * 100, "%00", "\u00e4"])
async def test_an_account_that_is_not_there_is_a_404(admin: Administrator, account_id: str) -> None:
    for method in ("GET", "PATCH"):
        error = await admin.refused(404, method, f"/accounts/{account_id}", json={})
        assert (error["param"], error["code"]) == ("account", "account_not_found")


async def test_the_callers_own_account_cannot_be_switched_off(admin: Administrator) -> None:
    own = admin.owner.caller.account.id
    error = await admin.refused(409, "PATCH", f"/accounts/{own}", json={"enabled": False})
    assert "lock you out" in error["message"]
    assert (await admin.done("GET", f"/accounts/{own}"))["enabled"] is True
    assert (await admin.done("PATCH", f"/accounts/{own}", json={"limits": {"monthly_tokens": 5}}))["enabled"] is True


async def test_an_account_that_is_switched_off_admits_nobody_and_a_new_limit_holds_at_once(
    admin: Administrator,
) -> None:
    deployment = admin.deployment
    own = deployment.owner.caller.account.id
    assert (await deployment.chat()).status_code == 200
    await admin.done("PATCH", f"/accounts/{own}", json={"limits": {"monthly_budget_usd": "0"}})
    assert (await deployment.chat()).status_code == 402
    await admin.done("PATCH", f"/accounts/{own}", json={"enabled": False, "limits": {"monthly_budget_usd": None}})
    assert (await deployment.chat()).status_code in (401, 403)
    await admin.done("PATCH", f"/accounts/{own}", json={"enabled": True})


async def test_pages_as_openais_lists_are(admin: Administrator) -> None:
    for name in ("a", "b", "c"):
        await admin.done("POST", "/accounts", json={"id": name})
    every = [account["id"] for account in (await admin.done("GET", "/accounts"))["data"]]
    assert set(every) >= {"a", "b", "c"}
    first = await admin.done("GET", "/accounts?limit=2")
    assert (first["object"], first["has_more"]) == ("list", True)
    assert (first["first_id"], first["last_id"]) == (every[0], every[1])
    rest = await admin.done("GET", f"/accounts?limit=100&after={first['last_id']}")
    assert [account["id"] for account in rest["data"]] == every[2:]
    assert rest["has_more"] is False
    past = await admin.done("GET", f"/accounts?after={every[-1]}")
    assert past == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=101", "limit=x", "limit=+1", "limit=1_0", "limit=", "after=nobody"]
)
async def test_a_page_that_cannot_be_is_refused_by_name(admin: Administrator, query: str) -> None:
    error = await admin.refused(400, "GET", f"/accounts?{query}")
    assert error["param"] == query.partition("=")[0]
