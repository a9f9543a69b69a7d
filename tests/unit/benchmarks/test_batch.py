"""The batch's benchmark: `python -m benchmarks batch --quick --json` runs whole, its parts count right, and the
simulation agrees with what can be computed. No time is judged.
"""

import os
import subprocess
import sys
from dataclasses import replace

import orjson
import pytest

from benchmarks.batch.questions import as_input, questions
from benchmarks.batch.simulation import TIMES, Clock, Setting, Simulation, slices, table
from benchmarks.batch.tables import overhead_table, steps_table, throughput_table
from benchmarks.batch.turn import Processors, Turn, descendants
from benchmarks.spread import Spread

STEPS = {"validating": 1.0, "working": 8.0, "joining": 1.0}
NO_WAITS = replace(TIMES, cold_start=0.0, put=0.0, write=0.0, transaction=0.0)


def turn(seconds: float, *, lines: int = 100, steps: dict[str, float] = STEPS) -> Turn:
    return Turn(lines, 40 * lines, seconds, {"machine": 0.1, "workers": 0.9}, steps)


# -- what is measured


def test_it_runs_whole_and_says_what_it_promises() -> None:
    arguments = [sys.executable, "-m", "benchmarks", "batch", "--quick", "--json"]
    run = subprocess.run(arguments, check=False, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stderr
    tables = orjson.loads(run.stdout)["tables"]
    assert [row["what"] for row in tables["throughput"]] == ["batch, 1 worker", "HTTP, 8 at once", "HTTP, one by one"]
    assert all(row["lines_per_s"]["median"] > 0 < row["tokens_per_s"]["median"] for row in tables["throughput"])
    assert [row["what"] for row in tables["steps"]] == ["batch, 1 worker"]
    assert tables["steps"][0]["working_s"]["median"] > 0
    assert tables["overhead"][0]["lines_per_s"]["median"] > 0


def test_every_question_is_another_and_has_its_line() -> None:
    bodies = questions(30, 5)
    assert len({orjson.dumps(body) for body in bodies}) == 30
    assert {body["max_tokens"] for body in bodies} == {5}
    lines = [orjson.loads(line) for line in as_input(bodies).splitlines()]
    assert [line["body"] for line in lines] == bodies
    assert len({line["custom_id"] for line in lines}) == 30


def test_a_turn_counts_by_the_second_and_by_the_line() -> None:
    one = turn(10)
    assert (one.lines_s, one.tokens_s) == (10, 400)
    assert one.cpu_ms() == pytest.approx(10)
    assert one.cpu_ms("workers") == pytest.approx(9)
    assert replace(one, cpu=None).cpu_ms() is None


def test_the_tables_compare_with_the_first_way_round_by_round() -> None:
    turns = {"one": [turn(10), turn(20)], "two": [turn(5), turn(5)], "HTTP": [turn(20, steps={}), turn(20, steps={})]}
    rows = throughput_table(turns).rows
    assert [row["ratio"] for row in rows] == [Spread(1, 1, 1), Spread(3, 2, 4), Spread(0.75, 0.5, 1)]
    assert [row["what"] for row in steps_table(turns).rows] == ["one", "two"]
    assert steps_table(turns).rows[0]["working_s"] == Spread(8, 8, 8)
    overhead = overhead_table({"one": turns["one"]}).rows[0]
    assert overhead["lines_per_s"] == Spread(12.5, 12.5, 12.5)
    assert overhead["worker_cpu_ms"] == Spread.of([0.9 * 1_000 / 100] * 2)


@pytest.mark.skipif(sys.platform != "linux", reason="no Linux")
def test_processes_below_this_one_are_found_and_their_time_is_counted() -> None:
    burning = "import subprocess, sys; print(); sys.stdout.flush(); sys.stdin.read()"
    inner = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {burning!r}])"
    with subprocess.Popen([sys.executable, "-c", inner], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"\n"
        assert len(descendants(process.pid)) == 1
        assert {process.pid, *descendants(process.pid)} <= set(descendants())
        process.communicate(timeout=60)
    processors = Processors({"this": [os.getpid()], "gone": [process.pid]})
    while not (used := processors.used()) or used["this"] < 0.05:
        sum(range(100_000))
    assert used["gone"] == 0


# -- what is simulated


def test_what_is_to_happen_happens_in_its_order() -> None:
    clock, seen = Clock(), list[tuple[str, float]]()

    def somebody(name: str, *waits: float):  # type: ignore[no-untyped-def]
        for seconds in waits:
            yield seconds
            seen.append((name, clock.now))

    clock.begin(somebody("a", 2.0, 2.0))
    clock.begin(somebody("b", 3.0))
    clock.run()
    assert seen == [("a", 2.0), ("b", 3.0), ("a", 4.0)]


def test_an_engine_that_never_waits_answers_as_fast_as_it_can() -> None:
    outcome = Simulation(Setting(4, 1, 256, 100_000), NO_WAITS).run()
    fastest = 4 * NO_WAITS.tokens_per_s / NO_WAITS.answer_tokens
    assert outcome.lines_per_s == pytest.approx(fastest, rel=0.05)
    assert outcome.engines_busy == pytest.approx(1, rel=0.05)


def test_an_accounts_item_lets_so_many_slices_through_and_no_more() -> None:
    """With twenty leases that live at most the item has two KB at most: 2,000 write units for each 500 slices."""
    times = replace(NO_WAITS, answer_tokens=0.001, line_cpu=0.0, shards=10)
    outcome = Simulation(Setting(1, 1, 10, 50_000), times).run()
    assert 10 <= outcome.most_live <= 20  # one that is begun and one that is ended, for each shard
    slices_per_s = outcome.lines_per_s / 10
    assert 1_000 / (2 * 2) <= slices_per_s <= 1_000 / 2
    assert outcome.items_busy == pytest.approx(1, rel=0.02)


def test_more_accounts_carry_more_containers() -> None:
    one, ten = (Simulation(Setting(400, accounts, 42, 200_000), TIMES).run() for accounts in (1, 10))
    assert one.items_busy > 0.9
    assert ten.lines_per_s > 2 * one.lines_per_s
    assert ten.most_live < one.most_live


def test_larger_slices_are_fewer_leases_that_live() -> None:
    large, small = (Simulation(Setting(20, 1, lines, 100_000), TIMES).run() for lines in slices(TIMES))
    assert 2 * large.most_live < small.most_live
    assert 2 * large.items_busy < small.items_busy


def test_slices_are_as_large_as_the_worker_s() -> None:
    assert slices(TIMES) == (256, 63)


def test_the_same_setting_comes_to_the_same() -> None:
    setting = Setting(3, 1, 42, 2_000)
    assert Simulation(setting, TIMES).run() == Simulation(setting, TIMES).run()
    [row] = table([setting], TIMES).rows
    assert row["containers"] == "3"
    assert row["minutes"] == Simulation(setting, TIMES).run().seconds / 60
