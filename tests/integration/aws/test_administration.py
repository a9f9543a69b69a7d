"""The life of a key through the deployed admin routes, seen by calling with it."""

from typing import Any

from penstock.keys import parse
from tests.integration.aws.deployment import Deployment

CHAT = {"model": "demo", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 4}


def status_of(cloud: Deployment, key: str) -> int:
    """What a chat with this key is answered."""
    return cloud.call("POST", "/v1/chat/completions", key, json=CHAT).status_code


def issued(cloud: Deployment, **fields: Any) -> Any:
    """A new key of an account of its own, as the route shows it this once."""
    return cloud.administer("POST", "/keys", {"account": cloud.account(), **fields})


def test_a_key_is_made_changed_rotated_and_revoked(cloud: Deployment) -> None:
    made = issued(cloud, name="ci", limits={"requests_per_minute": 1_000})
    assert status_of(cloud, made["key"]) == 200
    limited = cloud.administer("PATCH", f"/keys/{made['id']}", {"limits": {"monthly_tokens": 1}})
    assert limited["limits"]["monthly_tokens"] == 1
    assert limited["limits"]["requests_per_minute"] == 1_000
    assert status_of(cloud, made["key"]) == 402
    cloud.administer("PATCH", f"/keys/{made['id']}", {"limits": {"monthly_tokens": None}})
    assert status_of(cloud, made["key"]) == 200
    new = cloud.administer("POST", f"/keys/{made['id']}/rotate", {"grace_s": 0})
    assert (status_of(cloud, made["key"]), status_of(cloud, new["key"])) == (401, 200)
    cloud.administer("POST", f"/keys/{new['id']}/revoke")
    assert status_of(cloud, new["key"]) == 401


def test_a_key_is_for_the_routes_it_was_given(cloud: Deployment) -> None:
    made = issued(cloud, routes=["models"])
    assert cloud.call("GET", "/v1/models", made["key"]).status_code == 200
    assert status_of(cloud, made["key"]) == 403
    refused = cloud.call("GET", "/admin/v1/keys", made["key"])
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")


def test_the_command_line_and_the_routes_see_the_same_keys(cloud: Deployment) -> None:
    made = issued(cloud, name="seen-by-both")
    shown = cloud.penstock("keys", "list", "--json")
    key = parse(made["key"])
    assert key is not None
    assert key.id in shown
    assert made["key"] not in shown


def test_what_an_account_may_spend_holds_for_all_its_keys(cloud: Deployment) -> None:
    account = cloud.account(monthly_tokens=1)
    assert [status_of(cloud, cloud.key(account)) for _ in range(2)] == [402, 402]
