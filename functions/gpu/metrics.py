"""`GET /metrics`: the engine's figures and the process's own, in Prometheus's text format (or OpenMetrics).

Names and units follow Prometheus's rules: base units, `_total` for what only grows, and labels over which a
sum makes sense. Nothing here names a caller, a prompt or an answer. What a scrape reads is one snapshot.

Open unless `PENSTOCK_METRICS_TOKEN` is set. Set it wherever strangers can reach the GPU process, which is so
as soon as direct delivery makes its address public: figures tell how busy a service is. A scrape then sends
the token as `Authorization: Bearer`, which Prometheus calls `authorization: credentials`.
"""

import hmac
from collections.abc import Iterable
from itertools import accumulate

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import override

from functions.gpu.engine import Figures, Histogram
from functions.gpu.process import Process
from functions.gpu.service import Service
from penstock.errors import Unauthenticated

Family = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class Metrics:
    """The endpoint."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def scrape(self, request: Request) -> Response:
        """Every metric. Raises Unavailable before the engine is there, and Unauthenticated."""
        service = self._process.service()
        _authorize(request, service.settings.metrics_token)
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Snapshot(service))
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})


class _Snapshot(Collector):
    """What one scrape sees."""

    def __init__(self, service: Service) -> None:
        self._service = service

    @override
    def collect(self) -> Iterable[Family]:
        yield GaugeMetricFamily("penstock_gpu_requests", "Requests being served.", self._service.serving)
        yield GaugeMetricFamily(
            "penstock_gpu_settlements_pending",
            "Settlements that the ledger does not have yet.",
            self._service.bookkeeper.pending,
        )
        yield from engine_metrics(self._service.engine.figures())


def engine_metrics(figures: Figures) -> Iterable[Family]:
    """The figures of an engine as metrics."""
    yield from _state(figures)
    yield from _history(figures)
    yield _histogram(
        "penstock_engine_first_token_seconds", "From a request's submission to its first token.", figures.first_token
    )
    yield _histogram(
        "penstock_engine_inter_token_seconds", "From one token of a choice to the next.", figures.inter_token
    )


def _state(figures: Figures) -> Iterable[Family]:
    yield GaugeMetricFamily("penstock_engine_waiting_requests", "Requests that are not begun.", figures.waiting)
    yield GaugeMetricFamily("penstock_engine_running_sequences", "Sequences in the batch.", figures.running)
    pages = GaugeMetricFamily(
        "penstock_engine_kv_pages",
        "Pages of keys and values: used by sequences, held by the prefix cache alone, or free.",
        labels=["state"],
    )
    pages.add_metric(["used"], figures.pages_used)
    pages.add_metric(["cached"], figures.pages_cached)
    pages.add_metric(["free"], figures.pages - figures.pages_used - figures.pages_cached)
    yield pages
    yield GaugeMetricFamily("penstock_engine_kv_page_tokens", "Tokens that one page holds.", figures.page_tokens)
    yield GaugeMetricFamily(
        "penstock_engine_tokens_per_second", "Tokens generated a second, over the last ten.", figures.tokens_per_s
    )


def _history(figures: Figures) -> Iterable[Family]:
    tokens = CounterMetricFamily(
        "penstock_engine_tokens_total",
        "Tokens: of prompts, computed; of prompts, found in the prefix cache; of completions.",
        labels=["kind"],
    )
    tokens.add_metric(["prompt"], figures.prompt_tokens_total - figures.cached_tokens_total)
    tokens.add_metric(["cached"], figures.cached_tokens_total)
    tokens.add_metric(["completion"], figures.completion_tokens_total)
    yield tokens
    for name, text, count in (
        ("requests", "Requests taken.", figures.requests_total),
        ("failed_requests", "Requests that the engine failed.", figures.failed_total),
        ("refused_requests", "Requests refused because too many were waiting.", figures.refused_total),
        ("preemptions", "Sequences put back because the pages ran out.", figures.preemptions_total),
        ("steps", "Forward passes of the batch.", figures.steps_total),
    ):
        yield CounterMetricFamily(f"penstock_engine_{name}_total", text, count)


def _histogram(name: str, text: str, histogram: Histogram) -> Family:
    bounds = [*(str(bound) for bound in histogram.bounds), "+Inf"]
    buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
    return HistogramMetricFamily(name, text, buckets, histogram.total)


def _authorize(request: Request, token: SecretStr | None) -> None:
    if token is None:
        return
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    expected = token.get_secret_value().encode()
    if scheme.lower() != "bearer" or not hmac.compare_digest(credentials.strip().encode(), expected):
        raise Unauthenticated("The metrics need their token, as `Authorization: Bearer`.", code="invalid_metrics_token")
