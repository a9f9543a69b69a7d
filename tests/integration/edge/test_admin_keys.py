"""`/admin/v1/keys`, over real connections; what a key opens is seen by calling with it."""

from typing import Any

import pytest

from penstock.clock import now_ms
from penstock.keys import parse
from tests.integration.edge.administrator import Administrator, admin

__all__ = ["admin"]

pytestmark = pytest.mark.anyio


async def issued(admin: Administrator, **body: Any) -> Any:
    """A new key of the deployment's owner."""
    return await admin.done("POST", "/keys", json={"account": admin.deployment.owner.caller.account.id, **body})


async def test_a_new_key_opens_and_is_shown_once(admin: Administrator) -> None:
    account = admin.deployment.owner.caller.account.id
    response = await admin.call("POST", "/keys", json={"account": account, "name": "laptop"})
    assert response.headers["cache-control"] == "no-store"
    made = response.json()
    secret = parse(made.pop("key"))
    assert secret is not None
    assert secret.id == made["id"]
    assert (made["account"], made["name"], made["models"], made["routes"]) == (account, "laptop", None, None)
    assert await admin.status_of(secret.reveal()) == 200
    read = await admin.call("GET", f"/keys/{secret.id}")
    assert read.json() == made
    assert secret.reveal() not in read.text + (await admin.call("GET", "/keys")).text


async def test_a_keys_scope_and_limits_hold(admin: Administrator) -> None:
    made = await issued(admin, models=["small"], routes=["chat"], limits={"requests_per_minute": 1}, expires_in_s=3_600)
    assert (made["models"], made["routes"]) == (["demo"], ["chat"])  # an alias is kept as the model's name
    assert made["expires_at"] == made["created_at"] + 3_600
    client, bearer = admin.deployment.client, {"Authorization": f"Bearer {made['key']}"}
    assert (await client.get("/v1/models", headers=bearer)).status_code == 403
    assert (await admin.deployment.chat(bearer, model="acme/large")).status_code == 403
    assert await admin.status_of(made["key"]) == 200
    assert await admin.status_of(made["key"]) == 429


async def test_a_change_holds_at_the_next_request(admin: Administrator) -> None:
    made = await issued(admin, limits={"monthly_tokens": 1, "tokens_per_minute": 9_000})
    assert await admin.status_of(made["key"]) == 402
    changed = await admin.done("PATCH", f"/keys/{made['id']}", json={"limits": {"monthly_tokens": None}})
    assert (changed["limits"]["monthly_tokens"], changed["limits"]["tokens_per_minute"]) == (None, 9_000)
    assert (changed["models"], changed["routes"]) == (None, None)
    scoped = await admin.done("PATCH", f"/keys/{made['id']}", json={"models": ["acme/large"], "routes": ["models"]})
    assert (scoped["models"], scoped["routes"]) == (["acme/large"], ["models"])
    freed = await admin.done("PATCH", f"/keys/{made['id']}", json={"models": None, "routes": None})
    assert (freed["models"], freed["routes"]) == (None, None)
    assert freed["limits"] == changed["limits"]


async def test_a_revoked_key_spends_nothing_from_then_on(admin: Administrator) -> None:
    made = await issued(admin)
    assert await admin.status_of(made["key"]) == 200
    revoked = await admin.done("POST", f"/keys/{made['id']}/revoke")
    assert abs(revoked["revoked_at"] - now_ms() // 1_000) < 60
    assert await admin.status_of(made["key"]) == 401
    assert await admin.done("POST", f"/keys/{made['id']}/revoke") == revoked
    error = await admin.refused(409, "POST", f"/keys/{made['id']}/rotate", json={})
    assert error["code"] == "key_ended"


async def test_rotation_keeps_what_the_key_was_and_gives_a_grace(admin: Administrator) -> None:
    old = await issued(admin, name="ci", models=["demo"], limits={"concurrent_requests": 3}, expires_in_s=7_200)
    response = await admin.call("POST", f"/keys/{old['id']}/rotate", json={"grace_s": 60})
    assert response.headers["cache-control"] == "no-store"
    new = response.json()
    for part in ("account", "name", "models", "routes", "limits"):
        assert new[part] == old[part], part
    assert new["expires_at"] == new["created_at"] + 7_200
    assert new["replaces"]["id"] == old["id"]
    assert new["replaces"]["expires_at"] == new["created_at"] + 60
    assert [await admin.status_of(key["key"]) for key in (old, new)] == [200, 200]
    at_once = (await admin.call("POST", f"/keys/{new['id']}/rotate", json={"grace_s": 0})).json()
    assert [await admin.status_of(key["key"]) for key in (new, at_once)] == [401, 200]


async def test_the_key_that_calls_can_neither_be_revoked_nor_lose_its_scope(admin: Administrator) -> None:
    own = admin.owner.key.id
    for method, path, body in (
        ("POST", f"/keys/{own}/revoke", None),
        ("PATCH", f"/keys/{own}", {"routes": None}),
        ("PATCH", f"/keys/{own}", {"routes": ["chat"]}),
    ):
        error = await admin.refused(409, method, path, json=body)
        assert "lock you out" in error["message"]
    assert (await admin.done("GET", f"/keys/{own}"))["routes"] == ["admin"]
    assert (await admin.done("PATCH", f"/keys/{own}", json={"routes": ["admin", "usage"]}))["routes"] == [
        "admin",
        "usage",
    ]
    other = await issued(admin, routes=["admin"])
    assert (await admin.done("POST", f"/keys/{other['id']}/revoke"))["revoked_at"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"models": []}, "models"),
        ({"models": ["nope"]}, "models"),
        ({"models": ["demo", "demo"]}, "models"),
        ({"models": ["demo"] * 65}, "models"),
        ({"models": "demo"}, "models"),
        ({"models": ["/"]}, "models[0]"),
        ({"routes": []}, "routes"),
        ({"routes": ["everything"]}, "routes[0]"),
        ({"limits": {"monthly_tokens": -1}}, "limits.monthly_tokens"),
        ({"expires_in_s": 0}, "expires_in_s"),
        ({"expires_in_s": 10**9}, "expires_in_s"),
        ({"digest": "0" * 64}, "digest"),
    ],
)
async def test_what_is_wrong_is_named(admin: Administrator, body: dict[str, Any], param: str) -> None:
    account = admin.deployment.owner.caller.account.id
    before = len(await admin.deployment.ledger.keys())
    error = await admin.refused(400, "POST", "/keys", json={"account": account, **body})
    assert error["param"] == param
    assert len(await admin.deployment.ledger.keys()) == before


async def test_a_grace_that_is_none_is_refused(admin: Administrator) -> None:
    made = await issued(admin)
    for grace in (-1, "1h", 10**10, None):
        error = await admin.refused(400, "POST", f"/keys/{made['id']}/rotate", json={"grace_s": grace})
        assert error["param"] == "grace_s"
    assert await admin.status_of(made["key"]) == 200


async def test_a_key_of_nobody_is_a_404(admin: Administrator) -> None:
    error = await admin.refused(404, "POST", "/keys", json={"account": "nobody"})
    assert (error["param"], error["code"]) == ("account", "account_not_found")
    assert (await admin.refused(404, "GET", "/keys?account=nobody"))["code"] == "account_not_found"


async def test_a_key_that_is_not_there_is_a_404_which_never_repeats_a_key(admin: Administrator) -> None:
    pasted = admin.owner.key.reveal()
    for key_id in ("nobody", pasted, "x" * 100):
        for method, path in (("GET", ""), ("PATCH", ""), ("POST", "/rotate"), ("POST", "/revoke")):
            error = await admin.refused(404, method, f"/keys/{key_id}{path}", json={})
            assert (error["param"], error["code"]) == ("key", "key_not_found")
            assert pasted not in error["message"]


async def test_pages_of_one_account(admin: Administrator) -> None:
    account = admin.deployment.owner.caller.account.id
    made = [(await issued(admin))["id"] for _ in range(3)]
    every = [key["id"] for key in (await admin.done("GET", f"/keys?account={account}"))["data"]]
    assert set(every) == {admin.deployment.owner.key.id, *made}
    page = await admin.done("GET", f"/keys?account={account}&limit=3&after={every[0]}")
    assert [key["id"] for key in page["data"]] == every[1:]
    assert page["has_more"] is False
    error = await admin.refused(400, "GET", f"/keys?account={account}&after={admin.owner.key.id}")
    assert error["param"] == "after"
