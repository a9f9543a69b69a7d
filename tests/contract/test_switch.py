"""The switch over everybody."""

import pytest

from penstock.ledger import Ledger, Switch
from tests.contract.samples import NOW, enrol, lease_of, reserved

pytestmark = pytest.mark.anyio

OFF = Switch(on=False, reason="moving house; back at 18:00 \u2014 sorry", changed_at=NOW)


async def test_it_is_on_until_it_is_set(ledger: Ledger) -> None:
    assert await ledger.switch() == Switch(on=True, reason="", changed_at=0)


async def test_it_stays_as_it_was_last_set(ledger: Ledger) -> None:
    for switch in (OFF, OFF, Switch(on=True, reason="", changed_at=NOW + 1)):
        await ledger.set_switch(switch)
        assert await ledger.switch() == switch


async def test_a_reservation_does_not_look_at_it(ledger: Ledger) -> None:
    caller = await enrol(ledger)
    await ledger.set_switch(OFF)
    await reserved(ledger, caller, lease_of(caller))
