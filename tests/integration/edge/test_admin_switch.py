"""`/admin/v1/switch`: everybody is stopped, and goes on, without a deployment."""

import asyncio

import pytest

from penstock.clock import now_ms
from tests.integration.edge.administrator import appointed
from tests.integration.edge.conftest import Deploy

pytestmark = pytest.mark.anyio


async def test_off_stops_who_spends_and_not_who_administers(deploy: Deploy) -> None:
    admin = await appointed(await deploy(caller_cache_s=0))
    assert await admin.done("GET", "/switch") == {"object": "switch", "on": True, "reason": "", "changed_at": None}
    off = await admin.done("PUT", "/switch", json={"on": False, "reason": "Prices are being checked."})
    assert (off["on"], off["reason"]) == (False, "Prices are being checked.")
    assert abs(off["changed_at"] - now_ms() // 1_000) < 60
    refused = await admin.deployment.chat()
    assert refused.status_code == 503
    assert "Prices are being checked." in refused.json()["error"]["message"]
    assert await admin.done("GET", "/switch") == off
    await admin.done("PUT", "/switch", json={"on": True})
    async with asyncio.timeout(30):
        while (await admin.deployment.chat()).status_code != 200:
            await asyncio.sleep(0.05)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "on"),
        ({"on": "off"}, "on"),
        ({"on": True, "reason": "x" * 201}, "reason"),
        ({"on": True, "reason": "\x1b"}, "reason"),
    ],
)
async def test_what_is_wrong_is_named(deploy: Deploy, body: dict[str, object], param: str) -> None:
    admin = await appointed(await deploy(caller_cache_s=0))
    assert (await admin.refused(400, "PUT", "/switch", json=body))["param"] == param
    assert (await admin.done("GET", "/switch"))["changed_at"] is None
