"""What a scrape of the process reads, as Prometheus's own parser reads it."""

import asyncio
from pathlib import Path

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus
from pydantic import SecretStr

from tests.integration.gpu.scripted import ScriptedEngine
from tests.integration.gpu.stand import Stand, chat, standing, until

pytestmark = pytest.mark.anyio

TOKEN = "a token of the metrics"
BUCKETS = "penstock_engine_first_token_seconds_bucket"
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(families: list[Metric]) -> Samples:
    """Values by the sample's name and labels."""
    every = [sample for family in families for sample in family.samples]
    return {(sample.name, frozenset(sample.labels.items())): sample.value for sample in every}


def value(read: Samples, name: str, **labels: str) -> float:
    """One sample's."""
    return read[name, frozenset(labels.items())]


async def scrape(stand: Stand) -> Samples:
    """All samples."""
    response = await stand.http.get("/metrics")
    assert response.status_code == 200
    return samples(list(prometheus(response.text)))


async def test_the_engines_figures_are_told(tmp_path: Path) -> None:
    async with standing(tmp_path, ScriptedEngine()) as stand:
        read = await scrape(stand)
    assert value(read, "penstock_engine_waiting_requests") == 2
    assert value(read, "penstock_engine_running_sequences") == 3
    states = ("used", "cached", "free")
    assert [value(read, "penstock_engine_kv_pages", state=state) for state in states] == [40, 25, 35]
    assert value(read, "penstock_engine_kv_page_tokens") == 16
    assert value(read, "penstock_engine_tokens_per_second") == 12.5
    kinds = ("prompt", "cached", "completion")
    assert [value(read, "penstock_engine_tokens_total", kind=kind) for kind in kinds] == [40, 30, 50]
    assert value(read, "penstock_engine_requests_total") == 9
    assert value(read, "penstock_engine_failed_requests_total") == 1
    assert value(read, "penstock_engine_refused_requests_total") == 4
    assert value(read, "penstock_engine_preemptions_total") == 2
    assert value(read, "penstock_engine_steps_total") == 60
    assert [value(read, BUCKETS, le=bound) for bound in ("0.1", "1.0", "+Inf")] == [3, 5, 6]
    assert value(read, "penstock_engine_first_token_seconds_count") == 6
    assert value(read, "penstock_engine_first_token_seconds_sum") == 4.5
    assert value(read, "penstock_engine_inter_token_seconds_count") == 25


async def test_the_processs_own_figures_follow_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.gpu.bookkeeper.SETTLE_WITHIN_S", 0.01)
    go = asyncio.Event()
    engine = ScriptedEngine("a", go)
    async with standing(tmp_path, engine) as stand:
        stand.ledger.failing = {"settle"}
        async with asyncio.TaskGroup() as group:
            group.create_task(stand.post(chat()))
            await until("it generates", lambda: engine.active)
            during = await scrape(stand)
            go.set()
        after = await scrape(stand)
        stand.ledger.failing = set()
    names = ("penstock_gpu_requests", "penstock_gpu_settlements_pending")
    assert [value(during, name) for name in names] == [1, 0]
    assert [value(after, name) for name in names] == [0, 1]


async def test_names_follow_prometheuss_rules(tmp_path: Path) -> None:
    """OpenMetrics' parser is the strict one: it refuses what is named or typed against the rules."""
    async with standing(tmp_path, ScriptedEngine()) as stand:
        plain = await stand.http.get("/metrics")
        strict = await stand.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert plain.headers["content-type"].startswith("text/plain; version=0.0.4")
    assert strict.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    families = list(openmetrics(strict.text))  # type: ignore[no-untyped-call]
    assert samples(families) == samples(list(prometheus(plain.text)))
    assert all(family.name.startswith("penstock_") and family.documentation for family in families)


@pytest.mark.parametrize(
    "authorization", [None, "", "Bearer", "Bearer wrong", f"Basic {TOKEN}", f"Bearer {TOKEN}x", "Bearer t\xe4st"]
)
async def test_with_a_token_set_it_is_needed(tmp_path: Path, authorization: str | None) -> None:
    headers = [] if authorization is None else [(b"Authorization", authorization.encode("latin-1"))]
    async with standing(tmp_path, ScriptedEngine(), metrics_token=SecretStr(TOKEN)) as stand:
        refused = await stand.http.get("/metrics", headers=headers)
        served = await stand.http.get("/metrics", headers={"Authorization": f"Bearer {TOKEN}"})
        lower = await stand.http.get("/metrics", headers={"Authorization": f"bearer {TOKEN}"})
    assert refused.status_code == 401
    assert refused.headers["www-authenticate"] == "Bearer"
    assert "penstock_engine" not in refused.text
    assert TOKEN not in refused.text
    assert (served.status_code, lower.status_code) == (200, 200)
