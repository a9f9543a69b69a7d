"""The figures of a running GPU process agree with what its clients were told."""

from typing import Any
from urllib.parse import urlsplit

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.service import Service

HELLO: Any = [{"role": "user", "content": "Hello!"}]
TOKENS = "penstock_engine_tokens_total"


def scrape(address: str) -> dict[tuple[str, str], float]:
    """Values by the sample's name and its label's value."""
    response = httpx2.get(f"{address}/metrics")
    assert response.status_code == 200
    families = text_string_to_metric_families(response.text)
    return {(sample.name, "".join(sample.labels.values())): sample.value for one in families for sample in one.samples}


def test_what_clients_were_told_is_counted(service: Service) -> None:
    client = service.client()
    direct = client.chat.completions.with_raw_response.create(
        model="demo", messages=HELLO, extra_headers={"Penstock-Delivery": "direct"}
    )
    gpu = urlsplit(str(direct.http_response.url))
    address = f"http://{gpu.netloc}"
    before = scrape(address)
    usage = client.chat.completions.create(model="demo", messages=HELLO, n=2).usage
    after = scrape(address)
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    grown = {kind: after[TOKENS, kind] - before[TOKENS, kind] for kind in ("prompt", "cached", "completion")}
    assert grown["completion"] == usage.completion_tokens
    assert grown["cached"] == (usage.prompt_tokens_details.cached_tokens or 0)
    assert grown["prompt"] + grown["cached"] == usage.prompt_tokens
    count = ("penstock_engine_first_token_seconds_count", "")
    assert after[count] > before[count]
    assert after["penstock_engine_steps_total", ""] > before["penstock_engine_steps_total", ""]
    assert after["penstock_gpu_requests", ""] == 0


def test_the_edge_tells_no_figures(service: Service) -> None:
    """They are the GPU process's, which strangers do not reach through the edge."""
    assert httpx2.get(f"{service.url}/metrics").status_code == 404
