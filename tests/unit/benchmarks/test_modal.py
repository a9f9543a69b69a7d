"""The parts of Modal's benchmark: answers are timed and counted, and tables say how many times the peer's.

That the whole of it runs is held in tests/integration/modal/test_benchmark.py.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import astuple, dataclass, field
from typing import Any

import pytest

from benchmarks.child import Consumption
from benchmarks.failure import BenchmarkFailed
from benchmarks.modal.answers import Answer, Turn, ask, at_once, cold, one_by_one
from benchmarks.modal.tables import cold_table, cpu_table, crowd_table, first_table, whole_table
from benchmarks.modal.ways import ADMITTED, PROCESS, RAW, SDK, Item, item_of
from benchmarks.spread import Spread

pytestmark = pytest.mark.anyio
ASKED = {"max_tokens": 6}
PAUSE = 0.02  # seconds


@dataclass
class ScriptedServer:
    """Uses a second of CPU between two looks at it."""

    done: list[str] = field(default_factory=list)
    cpu: float = 0.0

    def cool(self) -> None:
        self.done.append("cool")

    def start(self) -> None:
        self.done.append("start")

    def consumption(self) -> Consumption | None:
        self.cpu += 1.0
        return Consumption(self.cpu, 1)


@dataclass
class ScriptedWay:
    """Admits, waits, and gives these items, with a wait before each."""

    server: ScriptedServer = field(default_factory=ScriptedServer)
    name: str = PROCESS
    admits_itself: bool = False
    gives_items: bool = True
    items: tuple[Item, ...] = (Item(False, 0), Item(True, 0), Item(True, 0), Item(False, 6))
    running: int = 0
    most: int = 0

    async def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        assert request is ASKED
        self.running += 1
        self.most = max(self.most, self.running)
        yield ADMITTED
        for item in self.items:
            await asyncio.sleep(PAUSE)
            yield item
        self.running -= 1


@dataclass
class Computing(ScriptedWay):
    """Uses two seconds of CPU before it admits, and one after."""

    cpu: float = 0.0

    async def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        self.cpu += 2.0
        async for item in super().ask(request):
            yield item
        self.cpu += 1.0


async def test_an_answer_is_timed_to_its_first_text_and_counted_by_its_own_usage() -> None:
    answer = await ask(ScriptedWay(), ASKED)
    assert 0 < answer.admitted < answer.first < answer.whole
    assert answer.first - answer.admitted >= 1.9 * PAUSE  # an item without text came before
    assert (answer.tokens, answer.items) == (6, 2)


async def test_what_takes_items_apart_has_none() -> None:
    assert (await ask(ScriptedWay(gives_items=False), ASKED)).items is None


@pytest.mark.parametrize(("admits_itself", "seconds"), [(False, 1.0), (True, 3.0)])
async def test_the_benchs_own_admission_is_not_the_clients(
    monkeypatch: pytest.MonkeyPatch, admits_itself: bool, seconds: float
) -> None:
    way = Computing(admits_itself=admits_itself)
    monkeypatch.setattr(time, "process_time", lambda: way.cpu)
    assert (await ask(way, ASKED)).client_cpu == seconds


async def test_an_answer_of_another_length_is_a_failure() -> None:
    with pytest.raises(BenchmarkFailed, match="own process: an answer of 5 tokens, not 6"):
        await ask(ScriptedWay(items=(Item(True, 5),)), ASKED)


async def test_a_cold_answer_begins_where_nothing_runs() -> None:
    way = ScriptedWay()
    answer = await cold(way, ASKED)
    assert way.server.done == ["cool", "start"]
    assert answer.first > 0


async def test_turns_have_all_answers_and_the_servers_time() -> None:
    way = ScriptedWay()
    alone = await one_by_one(way, ASKED, 3)
    assert way.most == 1
    crowd = await at_once(way, ASKED, 3)
    assert way.most == 3
    for turn in (alone, crowd):
        assert (len(turn.answers), turn.tokens, turn.server_cpu) == (3, 18, 1.0)
    assert alone.seconds >= sum(answer.whole for answer in alone.answers)


def test_an_item_is_what_came_at_once() -> None:
    role = {"choices": [{"delta": {"role": "assistant", "content": ""}}]}
    text = {"choices": [{"delta": {"content": "a"}}], "usage": None}
    used = {"choices": [], "usage": {"completion_tokens": 3}}
    assert item_of([role]) == Item(False, 0)
    assert item_of([role, text]) == Item(True, 0)
    assert item_of([text, used]) == Item(True, 3)


def turn(*, slower: float = 1.0, items: int | None = 4, server: float | None = 0.16) -> Turn:
    """Two answers of eight tokens; one with all its times twice the other's."""
    answers = [
        Answer(0.1 * by, 0.2 * by, 0.9 * by, 8, items, client_cpu=0.0008 * by) for by in (1 * slower, 2 * slower)
    ]
    return Turn(answers, seconds=2.0 * slower, server_cpu=None if server is None else server * slower)


@dataclass(frozen=True)
class About:
    """Equal to a spread that is the same but for rounding."""

    median: float
    low: float
    high: float

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Spread) and astuple(other) == pytest.approx(astuple(self))

    def __hash__(self) -> int:
        return 0


TURNS = {
    PROCESS: [turn(), turn(slower=2)],
    SDK: [turn(slower=3, items=None, server=None), turn(slower=2)],
    RAW: [turn(slower=2, items=1), turn(slower=8, items=1)],
}


def test_tables_are_ratios_within_the_rounds() -> None:
    process, sdk, raw = first_table(TURNS).rows
    assert [row["first_ratio"] for row in (process, sdk, raw)] == [
        Spread(1, 1, 1),
        About(2, 1, 3),
        About(3, 2, 4),
    ]
    assert process["first_p50_ms"] == About(300, 200, 400)
    assert process["admitted_p50_ms"] == About(150, 100, 200)
    assert process["first_p99_ms"] == pytest.approx(800)  # of all answers


def test_whole_answers_say_the_time_of_a_token_and_how_many_came_at_once() -> None:
    process, sdk, raw = whole_table(TURNS).rows
    assert process["between_ms"] == About(150, 100, 200)
    assert (process["items"], process["tokens_per_item"]) == (Spread(4, 4, 4), Spread(2, 2, 2))
    assert raw["tokens_per_item"] == Spread(8, 8, 8)
    assert (sdk["items"], sdk["tokens_per_item"]) == (None, None)


def test_cpu_is_by_the_token_and_unknown_where_it_was_not_read() -> None:
    process, sdk, raw = cpu_table(TURNS).rows
    assert process["client_us"] == About(225, 150, 300)
    assert process["server_ms"] == About(15, 10, 20)
    assert raw["server_ratio"] == About(3, 2, 4)
    assert (sdk["server_ms"], sdk["server_ratio"]) == (None, None)


def test_a_crowds_rate_is_of_all_its_tokens() -> None:
    process, _, raw = crowd_table(TURNS).rows
    assert process["tokens_per_second"] == About(6, 4, 8)
    assert raw["rate_ratio"] == About(0.375, 0.25, 0.5)


def test_cold_starts_are_compared_round_by_round() -> None:
    rows = cold_table({name: [each.answers[0] for each in turns] for name, turns in TURNS.items()}).rows
    assert rows[0]["first_ratio"] == Spread(1, 1, 1)
    assert rows[2]["first_ratio"] == About(3, 2, 4)
    assert rows[2]["first_s"] == About(1.0, 0.4, 1.6)
