"""The parts of the engine's benchmark: a workload is repeatable, a timeline says what it should, bars are judged."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.bars import bars
from benchmarks.engine.plan import OURS, STATIC, THREADS
from benchmarks.engine.tables import better, share
from benchmarks.engine.timeline import MEASURES, Served, Timeline, gaps
from benchmarks.engine.workload import workload
from benchmarks.spread import Spread

STEP = {"plan": 1.0, "forward": 95.0, "sample": 3.0, "emit": 1.0}
ALONE = {
    "greedy": [STEP],
    "full": [STEP],
    "joining": [{"before_p50_ms": 10.0, "during_p99_ms": 31.0}],
    "prefix": [{"first": 100.0, "again": 25.0}],
}


def rounds(*rates: float, between: float | None = 1.0) -> list[dict[str, float | None]]:
    return [{**dict.fromkeys(MEASURES, 2.0), "tokens_per_s": rate, "between_p50_ms": between} for rate in rates]


@given(
    number=st.integers(1, 20),
    shortest=st.integers(1, 9),
    more=st.integers(0, 9),
)
def test_a_workload_is_within_its_bounds_and_the_same_every_time(number: int, shortest: int, more: int) -> None:
    lengths = (shortest, shortest + more)
    requests = workload(number, range(300, 400), lengths, lengths)
    assert requests == workload(number, range(300, 400), lengths, lengths)
    assert len(requests) == number
    for request in requests:
        assert lengths[0] <= len(request.prompt) <= lengths[1]
        assert lengths[0] <= request.new <= lengths[1]
        assert all(300 <= token < 400 for token in request.prompt)


def test_a_timeline_says_rates_and_waits() -> None:
    served = Served()
    served.add(Timeline(10.0, [[11.0, 12.0, 14.0], [11.5, 12.0]]), tokens=5)
    served.add(Timeline(20.0, [[21.0]]), tokens=1)
    measures = served.measures()
    assert measures["tokens_per_s"] == pytest.approx(6 / 5)  # four seconds, and one
    assert measures["first_p50_ms"] == pytest.approx(1_000)
    assert measures["first_p99_ms"] == pytest.approx(1_500)
    assert measures["between_p50_ms"] == pytest.approx(1_000)
    assert measures["between_p99_ms"] == pytest.approx(2_000)


def test_what_arrives_at_once_has_nothing_between() -> None:
    served = Served()
    served.add(Timeline(0.0, [[3.0], [3.0]]), tokens=60)
    assert served.measures() == {
        "tokens_per_s": 20,
        "first_p50_ms": 3_000,
        "first_p99_ms": 3_000,
        "between_p50_ms": None,
        "between_p99_ms": None,
    }


@given(st.lists(st.lists(st.floats(0, 1e6), max_size=6), max_size=6))
def test_there_is_a_gap_less_than_there_are_arrivals(arrivals: Sequence[Sequence[float]]) -> None:
    assert len(gaps(arrivals)) == sum(max(len(times) - 1, 0) for times in arrivals)


def test_better_is_more_tokens_and_less_waiting() -> None:
    case = {OURS: rounds(20.0, 40.0), THREADS: rounds(10.0, 10.0, between=5.0), STATIC: rounds(1.0, 1.0, between=None)}
    assert better(case, THREADS, "tokens_per_s") == Spread(3, 2, 4)
    assert better(case, THREADS, "between_p50_ms") == Spread(5, 5, 5)
    assert better(case, STATIC, "between_p50_ms") is None


def test_the_share_is_all_but_the_forward_pass() -> None:
    assert share([STEP, STEP | {"forward": 45.0}]) == Spread(7.5, 5, 10)


def test_the_bars_judge_the_medians() -> None:
    contests = {"small": {"16 at once": {OURS: rounds(44.0), THREADS: rounds(10.0)}}}
    table = bars(contests, ALONE)
    verdicts = [row["verdict"] for row in table.rows]
    # 4.4 times; not measured; 5 % of 3; 5 % of 10; 3.1 times; exactly a quarter
    assert verdicts == ["missed", None, None, None, None, "missed", "met", "missed", "met"]
