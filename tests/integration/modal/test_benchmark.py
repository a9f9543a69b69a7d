"""`scripts/bench modal` measures every way, in all it says it does. No time is judged."""

import pytest

from benchmarks.modal.measure import QUICK, compare
from benchmarks.modal.ways import GATE, PROCESS, RAW, SDK
from benchmarks.report import Report
from benchmarks.spread import Spread
from tests.integration.modal.cloud import Cloud, findings

pytestmark = pytest.mark.anyio


async def test_every_way_is_measured_beside_the_others(cloud: Cloud) -> None:
    tables = {table.key: table for table in await compare(cloud, QUICK, lambda _: None)}
    assert list(tables) == ["cold", "first", "whole", "cpu", "crowd"]
    for table in tables.values():
        assert [row["what"] for row in table.rows] == [PROCESS, GATE, SDK, RAW]
    for key in ("cold", "first", "crowd"):
        spreads = [row["first_ratio"] for row in tables[key].rows]
        assert spreads[0] == Spread(1, 1, 1)
        assert all(isinstance(spread, Spread) and spread.low > 0 for spread in spreads)
    items = [row["tokens_per_item"] for row in tables["whole"].rows]
    assert items[2] is None
    assert all(isinstance(each, Spread) and each.low >= 1 for each in (items[0], items[1], items[3]))
    assert "direct, modal.Cls" in Report("modal", True, list(tables.values()), 1.0).text()
    assert await findings() == ()
