"""The switch over everybody, on either store."""

import asyncio
import re

from penstock.ledger import Switch, open_ledger
from tests.integration.cli.command import done, here, refused


def kept(url: str) -> Switch:
    async def look() -> Switch:
        ledger = await open_ledger(url)
        switch = await ledger.switch()
        await ledger.close()
        return switch

    return asyncio.run(look())


def test_it_is_on_until_it_is_set_and_says_since_when_and_why(ledger: str) -> None:
    assert done(here("switch", "--ledger", ledger)) == "on\n"
    said = done(here("switch", "off", "--reason", "A bill is being checked", "--ledger", ledger))
    assert re.fullmatch(r"off since \d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ: A bill is being checked\n", said)
    assert done(here("switch", "--ledger", ledger)) == said
    assert (kept(ledger).on, kept(ledger).reason) == (False, "A bill is being checked")
    assert done(here("switch", "on", "--ledger", ledger)).startswith("on since ")
    assert (kept(ledger).on, kept(ledger).reason) == (True, "")


def test_a_reason_is_one_line(ledger_file: str) -> None:
    said = refused(here("switch", "off", "--reason", "two\nlines", "--ledger", ledger_file), exit_code=2)
    assert said.startswith("reason: ")
    assert kept(ledger_file).on
