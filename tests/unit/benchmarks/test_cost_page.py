"""docs/cost.md says what `benchmarks.cost` computes; and that follows from prices, sizes, and seconds."""

import re

import pytest
import yaml  # type: ignore[import-untyped]

from benchmarks.cost import prices
from benchmarks.cost.edge import (
    ARCHITECTURE,
    CHUNK_BYTES,
    LOG_BYTES,
    MEMORY_MB,
    SECRETS_CACHE_S,
    WRITE_UNITS,
    Stream,
    direct,
    open_stream_month,
    relayed,
    snapshot_month,
    streams_for_a_machine,
)
from benchmarks.cost.gpu import BUSY, Container
from benchmarks.cost.page import tables
from benchmarks.ledger.accounts import ItemSizes
from benchmarks.ledger.cost import request_units
from penstock.schemas.completion import ChatCompletionChunk, ChoiceDelta, ChunkChoice, event
from penstock.settings import EdgeSettings
from tests.unit.repository.locks import ROOT

PAGE = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", tables())
def test_the_page_has_the_table_that_is_computed(name: str) -> None:
    assert f"\n\n{tables()[name]}\n" in PAGE


def test_the_page_says_the_numbers_that_are_computed() -> None:
    text = " ".join(PAGE.split())
    assert f"a stream that is always open is ${open_stream_month():.2f} a month" in text
    assert f"With {streams_for_a_machine():.2f} streams open on average" in text
    assert f"${prices.MACHINE_MONTH:.2f} a month" in text
    assert f"A request logs {sum(LOG_BYTES.values()) / 1_000} KB" in text
    assert f"{Stream(10).tokens} tokens and {Stream(10).size / 1_000:.0f} KB" in text


def test_the_page_names_the_prices_that_are_used() -> None:
    """In the table of prices, each as it is published."""
    (table,) = re.findall(r"\| price \| source \|\n(.*?)\n\n", PAGE, re.DOTALL)
    published = {
        "$3.50": prices.API_REQUEST * 1e6,
        "$0.20": prices.LAMBDA_REQUEST * 1e6,
        "$13.3334": prices.LAMBDA_GB_S["arm64"] * 1e6,
        "$16.6667": prices.LAMBDA_GB_S["x86_64"] * 1e6,
        "$0.008": prices.STREAMED_GB,
        "$1.5046": prices.SNAPSHOT_GB_S * 1e6,
        "$139.80": round(prices.RESTORED_GB * 1e6, 2),
        "$0.09": prices.OUT_GB,
        "$0.50": prices.LOG_GB,
        "$0.10": prices.ALARM,
        "$0.03": prices.KMS_REQUEST * 10_000,
        "$0.40": prices.SECRET,
        "$5": prices.WAF_ACL,
        "$1": prices.WAF_RULE,
        "$0.60": prices.WAF_REQUEST * 1e6,
        **{f"{gpu} ${price}": price for gpu, price in prices.GPU_S.items()},
    }
    for text, price in published.items():
        assert re.search(rf"{re.escape(text)}\b", table), text
        assert float(text.partition("$")[2]) == pytest.approx(price)


def test_a_relayed_request_holds_its_function_for_the_whole_stream_and_a_redirect_does_not() -> None:
    ten, eleven = relayed(Stream(10)), relayed(Stream(11))
    assert eleven["Lambda: time"] - ten["Lambda: time"] == pytest.approx(13.3334)  # a million GB-seconds
    assert direct(Stream(10)) == direct(Stream(11))


def test_a_long_answer_is_several_requests_and_its_bytes_are_charged_beyond_six_megabytes() -> None:
    long = relayed(Stream(3_000))
    assert Stream(3_000).size == 18_900_000
    assert long["API Gateway: requests"] == pytest.approx(2 * 3.50)
    beyond = (18.9e6 - 6 * 2**20) / 2**30 * 0.008 * 1e6
    assert long["Lambda: bytes of streams beyond 6 MB"] == pytest.approx(beyond)


def test_checkpoints_are_those_of_the_gpu_process() -> None:
    assert [Stream(seconds).checkpoints for seconds in (1, 20, 21, 60, 61)] == [0, 0, 1, 2, 3]


def test_the_ledger_s_units_are_those_of_a_small_account() -> None:
    items = ItemSizes(key=256, record=460, total=132, entry=250, body=1_130)
    assert request_units(617, items) == WRITE_UNITS


def test_a_chunk_is_as_long_as_the_schema_writes_it() -> None:
    part = ChunkChoice(index=0, delta=ChoiceDelta(content=" gate"), logprobs=None, finish_reason=None)
    chunk = ChatCompletionChunk(
        id="chatcmpl-" + "x" * 24, object="chat.completion.chunk", created=1_800_000_000, model="qwen", choices=[part]
    )
    assert len(event(chunk.wire())) == pytest.approx(CHUNK_BYTES, rel=0.1)


def test_tokens_cost_what_the_container_s_seconds_cost() -> None:
    container = Container("L4", 500)
    seconds = 1e6 / 500 / BUSY
    assert container.million_tokens == pytest.approx(seconds * (0.000222 + 4 * 0.0000131 + 16 * 0.00000222))
    assert container.million_requests(Stream(10)) == pytest.approx(300 * container.million_tokens)


def test_a_snapshot_costs_by_the_month_and_a_stream_nine_times_that() -> None:
    assert snapshot_month() == pytest.approx(30 * 86_400 * 1.5046e-6)
    assert open_stream_month() / snapshot_month() == pytest.approx(13.3334 / 1.5046)


def test_the_functions_are_those_of_the_stack() -> None:
    stack = yaml.safe_load((ROOT / "serverless.yml").read_text(encoding="utf-8"))
    assert stack["provider"]["memorySize"] == MEMORY_MB
    assert "memorySize" not in (ROOT / "infra" / "edge.yml").read_text(encoding="utf-8")
    assert stack["params"]["default"]["architecture"] == ARCHITECTURE


def test_secrets_are_read_again_as_often_as_the_edge_does_it() -> None:
    assert EdgeSettings.model_fields["secrets_cache_s"].default == SECRETS_CACHE_S
