"""`/admin/v1/switch`: the switch over everybody. Off, no key opens anything that spends; admin routes stay open."""

from starlette.responses import Response

from functions.edge.exchange import Exchange
from functions.edge.routes.admin.resource import admin_route, answer_with, read_json
from penstock.administration import set_switch
from penstock.clock import now_ms
from penstock.schemas.admin import SwitchReport, SwitchRequest


async def _retrieve(exchange: Exchange) -> Response:
    ledger = await exchange.edge.ledger()
    return answer_with(SwitchReport.of(await ledger.switch()))


async def _set(exchange: Exchange) -> Response:
    asked, ledger = await read_json(exchange, SwitchRequest), await exchange.edge.ledger()
    switch = await set_switch(ledger, asked.on, asked.reason, now=now_ms())
    exchange.edge.switches.forget("")
    exchange.facts.update(subject="on" if switch.on else "off")
    return answer_with(SwitchReport.of(switch))


RETRIEVE = admin_route("GET", "/switch", _retrieve, "The switch over everybody.", SwitchReport)
SET = admin_route("PUT", "/switch", _set, "Switch everybody off, or on again.", SwitchReport, body=SwitchRequest)
