"""The desk: the models that a key may use and what was used, to whoever may know."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functions.gpu.desk import Desk
from penstock import keys
from penstock.admission import Demand, admit, new_request_id
from penstock.clock import now_ms
from penstock.errors import ApiError
from penstock.ledger import Account, Key, Ledger, Limits, Reserved, Usage, open_ledger
from penstock.models import read_models
from penstock.settings import DirectSettings
from tests.integration.gpu.stand import CONFIG, SINCE, TICKET_KEYS

pytestmark = pytest.mark.anyio

KEY = keys.mint()


@asynccontextmanager
async def desk(folder: Path, **settings: Any) -> AsyncIterator[tuple[Desk, Ledger]]:
    """A desk whose account has used a request of ten tokens."""
    url = f"sqlite:///{folder / 'ledger.db'}"
    ledger = await open_ledger(url)
    await ledger.create_account(Account("acme", "Acme", SINCE, limits=Limits(monthly_tokens=100_000)))
    await ledger.create_key(Key(KEY.id, "acme", "laptop", KEY.digest(), SINCE))
    await _use(ledger)
    opened = await Desk.open(DirectSettings(ledger_url=url, ticket_keys=TICKET_KEYS, config=CONFIG, **settings))
    try:
        yield opened, ledger
    finally:
        await opened.close()
        await ledger.close()


async def _use(ledger: Ledger) -> None:
    caller, model, now = await ledger.caller(KEY.id), read_models(CONFIG).get("demo"), now_ms()
    assert caller is not None
    assert model is not None
    demand = Demand(prompt_bytes=64, messages=1, max_tokens=16)
    reserved = await admit(ledger, caller, model, demand, request_id=new_request_id(), now=now, claim_within_s=60)
    assert isinstance(reserved, Reserved)
    await ledger.settle(reserved.lease, Usage(6, 0, 4), "completed", now)


async def test_models_are_those_that_the_key_may_use(tmp_path: Path) -> None:
    async with desk(tmp_path) as (opened, ledger):
        listed = await opened.models(None, api_key=KEY.reveal())
        one = await opened.models("demo", api_key=KEY.reveal())
        await ledger.set_key(KEY.id, limits=Limits(), models=frozenset({"other"}), routes=None)
        none = await opened.models(None, api_key=KEY.reveal())
        with pytest.raises(ApiError) as hidden:
            await opened.models("demo", api_key=KEY.reveal())
    assert [model["id"] for model in listed["data"]] == ["demo"]
    assert one == listed["data"][0]
    assert none["data"] == []
    assert (hidden.value.status, hidden.value.code) == (404, "model_not_found")


async def test_usage_has_what_was_used_and_what_remains(tmp_path: Path) -> None:
    async with desk(tmp_path, service_key_id=KEY.id) as (opened, _):
        report = await opened.usage({"group_by": "model"}, api_key=None)
    assert (report["account"], report["key"], report["total_requests"]) == ("acme", KEY.id, 1)
    assert [(row["model"], row["prompt_tokens"], row["completion_tokens"]) for row in report["data"]] == [
        ("demo", 6, 4)
    ]
    assert report["limits"]["monthly_tokens"]["remaining"] == 100_000 - 10


@pytest.mark.parametrize(
    ("query", "param"),
    [({"since": "soon"}, "since"), ({"format": "csv"}, "format"), ({"of": "all"}, "of"), ({"x": "1"}, "x")],
)
async def test_a_query_that_cannot_be_answered_is_refused_by_name(
    tmp_path: Path, query: dict[str, str], param: str
) -> None:
    async with desk(tmp_path) as (opened, _):
        with pytest.raises(ApiError) as refused:
            await opened.usage(query, api_key=KEY.reveal())
    assert (refused.value.status, refused.value.param) == (400, param)


async def test_strangers_and_keys_of_another_scope_learn_nothing(tmp_path: Path) -> None:
    async with desk(tmp_path) as (opened, ledger):
        refused = []
        for key in (None, keys.mint().reveal(), "sk-1"):
            with pytest.raises(ApiError) as error:
                await opened.usage({}, api_key=key)
            refused.append((error.value.status, error.value.code))
        await ledger.set_key(KEY.id, limits=Limits(), models=None, routes=frozenset({"chat"}))
        with pytest.raises(ApiError) as scope:
            await opened.models(None, api_key=KEY.reveal())
    assert refused == [(401, "missing_api_key"), (401, "invalid_api_key"), (401, "invalid_api_key")]
    assert (scope.value.status, scope.value.code) == (403, "route_not_allowed")
