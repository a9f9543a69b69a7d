"""A shard of a batch: each line is answered or refused alone, and what is no shard is refused whole."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from functions.gpu import shard
from functions.gpu.shard import run_shard
from penstock.admission import request_id_of
from penstock.errors import BadRequest, RateLimited

pytestmark = pytest.mark.anyio


class Echo:
    """Answers with what it is asked, after every line that is under way has begun."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.keys: set[str | None] = set()
        self.running = self.most = 0

    async def whole(self, request: Mapping[str, Any], *, api_key: str | None, call: str) -> dict[str, Any]:
        self.calls.append(call)
        self.keys.add(api_key)
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        if "refused" in request:
            raise RateLimited("Later.", code="queue_full")
        if "broken" in request:
            raise ZeroDivisionError
        return {"echo": request}


def line(name: object, **changes: Any) -> dict[str, Any]:
    return {"custom_id": name, "method": "POST", "url": "/v1/chat/completions", "body": {"messages": []}, **changes}


async def test_each_line_has_its_result_in_its_place() -> None:
    echo = Echo()
    lines = [line("a"), line("b", body={"refused": True}), line("c", url="/v1/embeddings", body={"input": "x"})]
    results = await run_shard(echo, lines, api_key="ps_key", call="in-1")
    assert [result["custom_id"] for result in results] == ["a", "b", "c"]
    assert results[0] == {
        "id": f"batch_{request_id_of('in-1/a')}",
        "custom_id": "a",
        "response": {"status_code": 200, "request_id": request_id_of("in-1/a"), "body": {"echo": {"messages": []}}},
        "error": None,
    }
    assert results[1]["response"]["status_code"] == 429
    assert results[1]["response"]["body"]["error"]["code"] == "queue_full"
    assert results[2]["response"]["body"] == {"echo": {"input": "x"}}
    assert (sorted(echo.calls), echo.keys) == (["in-1/a", "in-1/b", "in-1/c"], {"ps_key"})


@pytest.mark.parametrize(
    "changes", [{"method": "GET"}, {"url": "/v1/models"}, {"url": ["/v1/embeddings"]}, {"body": "text"}, {"body": None}]
)
async def test_a_line_that_asks_for_nothing_is_refused_alone(changes: dict[str, Any]) -> None:
    results = await run_shard(Echo(), [line("bad", **changes), line("good")], api_key=None, call="in-1")
    assert [result["response"]["status_code"] for result in results] == [400, 200]
    assert results[0]["response"]["body"]["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([line(None)], "needs a custom_id"),
        ([line("")], "needs a custom_id"),
        ([line(7)], "needs a custom_id"),
        ([{"method": "POST"}], "needs a custom_id"),
        ([line("a"), line("a")], "a custom_id of its own"),
        (["text"], "A line is an object"),
        ([None], "A line is an object"),
        ({"custom_id": "a"}, "A shard is a list"),
    ],
)
async def test_what_is_no_shard_is_refused_whole(lines: Any, said: str) -> None:
    echo = Echo()
    with pytest.raises(BadRequest, match=said):
        await run_shard(echo, lines, api_key=None, call="in-1")
    assert echo.calls == []


async def test_so_many_lines_are_taken_and_so_many_are_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "MOST_LINES", 100)
    lines = [line(str(number)) for number in range(100)]
    echo = Echo()
    assert len(await run_shard(echo, lines, api_key=None, call="in-1")) == 100
    assert echo.most == shard.AT_ONCE
    with pytest.raises(BadRequest, match="at most 100 lines, not 101"):
        await run_shard(echo, [*lines, line("more")], api_key=None, call="in-1")
    assert await run_shard(echo, [], api_key=None, call="in-1") == []


async def test_a_line_that_breaks_is_that_lines_error_and_not_the_shards() -> None:
    """The task group cancelled all the other lines, whose answers were paid for."""
    results = await run_shard(Echo(), [line("bad", body={"broken": 1}), line("good")], api_key=None, call="in-1")
    assert [result["response"]["status_code"] for result in results] == [500, 200]
    assert results[0]["response"]["body"]["error"]["code"] == "internal_error"
