"""The scheduler under random loads (`simulation.py` checks every step), and what it promises of turns and places."""

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.sequence import Sequence
from tests.unit.gpu.engine.simulation import Life, Simulation, Sizes

OWNERS = ("a", "b", "c")


def sequence(
    number: int = 0, *, prompt: list[int] | None = None, max_tokens: int = 4, n: int = 1, owner: str = "a", **more: Any
) -> Sequence:
    """A request's first choice, with its siblings behind it; arrived as `number` says."""
    sampling = Sampling(max_tokens=max_tokens, n=n)
    first, *rest = (
        Sequence(prompt or [1], sampling, index=index, owner=owner, order=(number, index), **more) for index in range(n)
    )
    first.siblings = rest
    return first


@st.composite
def size(draw: st.DrawFn) -> Sizes:
    max_running = draw(st.integers(1, 5))
    return Sizes(
        pages=draw(st.integers(2, 10)),
        page_tokens=draw(st.integers(1, 4)),
        max_running=max_running,
        step_tokens=max_running + draw(st.integers(0, 8)),
        least=draw(st.integers(1, 4)),
    )


@st.composite
def arrival(draw: st.DrawFn, sizes: Sizes, number: int) -> tuple[int, Sequence, Life]:
    """A step, who comes then, and what will become of it."""
    length = draw(st.integers(1, sizes.capacity))
    owner = draw(st.sampled_from(OWNERS))
    cacheable = draw(st.sampled_from([True, True, True, False]))
    prompt = draw(st.sampled_from([[0] * length, [1] * length, [token % 2 for token in range(length)]]))
    new = sequence(
        number,
        prompt=prompt,
        max_tokens=draw(st.integers(0, sizes.capacity - length)),
        n=draw(st.sampled_from([1, 1, 1, 2, 4])),
        owner=owner,
        cacheable=cacheable,
        salt=draw(st.sampled_from([b"", owner.encode()])),
    )
    when = draw(st.integers(0, 12))
    ends = draw(st.none() | st.integers(when + 1, when + 20))
    return when, new, Life(draw(st.sampled_from([0.0, 0.0, 0.3])), ends, spoilt=draw(st.booleans()))


@st.composite
def load(draw: st.DrawFn) -> tuple[Sizes, list[tuple[int, Sequence, Life]]]:
    sizes = draw(size())
    return sizes, [draw(arrival(sizes, number)) for number in range(draw(st.integers(1, 9)))]


@settings(max_examples=250)
@given(load(), st.integers(0, 2**16))
def test_every_plan_can_be_computed_and_everybody_ends(
    drawn: tuple[Sizes, list[tuple[int, Sequence, Life]]], seed: int
) -> None:
    sizes, arrivals = drawn
    simulation = Simulation(sizes, Random(seed))
    choices = sum(1 + len(one.siblings) for _, one, _ in arrivals)
    work = sum((len(one) + one.sampling.max_tokens) * one.sampling.n for _, one, _ in arrivals)
    most_steps = 12 + 3 * choices * work  # only the oldest is sure to advance, and it may be late at times
    while arrivals or simulation.lives:
        for came in [one for one in arrivals if one[0] <= simulation.steps]:
            arrivals.remove(came)
            simulation.submit(came[1], came[2])
        simulation.step()
        assert simulation.steps <= most_steps
    assert not simulation.scheduler.running
    assert not simulation.scheduler.waiting
    assert simulation.pool.used == 0


def running(simulation: Simulation) -> list[Sequence]:
    return simulation.scheduler.running


def after(steps: int, simulation: Simulation) -> Simulation:
    for _ in range(steps):
        simulation.step()
    return simulation


def test_who_has_nothing_running_gets_a_place_from_who_has_many() -> None:
    simulation = Simulation(Sizes(pages=40, max_running=3))
    flood = [sequence(number, max_tokens=20) for number in range(8)]
    for one in flood:
        simulation.submit(one)
    assert running(after(1, simulation)) == flood[:3]
    newcomer = sequence(9, owner="b")
    simulation.submit(newcomer)
    assert running(after(1, simulation)) == [*flood[:2], newcomer]
    assert len(flood[2].output) == 1  # kept, and computed again


def test_who_has_nothing_running_gets_pages_from_who_has_many() -> None:
    simulation = Simulation(Sizes(pages=6, page_tokens=1, max_running=4))
    flood = [sequence(number, max_tokens=5) for number in range(4)]
    for one in flood:
        simulation.submit(one)
    after(2, simulation)
    newcomer = sequence(9, owner="b")
    simulation.submit(newcomer)
    simulation.step()
    assert newcomer in running(simulation)
    assert flood[0] in running(simulation)


def test_who_was_to_be_read_and_then_loses_its_place_is_not_in_the_plan() -> None:
    simulation = Simulation(Sizes(pages=20, max_running=2, step_tokens=8, least=8))
    first, second = (sequence(number, prompt=[0] * 6) for number in range(2))
    simulation.submit(first)
    simulation.submit(second)
    assert [row.end for row in simulation.step().rows] == [6, 2]
    newcomer = sequence(2, owner="b")
    simulation.submit(newcomer)
    assert [row.sequence for row in simulation.step().rows] == [first, newcomer]  # the second's turn came before


def test_no_owner_throws_out_another_who_has_no_more_than_itself() -> None:
    simulation = Simulation(Sizes(max_running=2))
    first = [sequence(number, owner=owner, max_tokens=6) for number, owner in enumerate("ab")]
    for one in [*first, sequence(2, owner="c")]:
        simulation.submit(one)
    while first[0] in simulation.lives:
        assert running(simulation) in ([], first)
        simulation.step()
    assert simulation.scheduler.preemptions == 0


@pytest.mark.parametrize("max_running", [1, 2, 3])
def test_an_owner_with_a_backlog_is_not_starved_by_those_who_ask_one_at_a_time(max_running: int) -> None:
    """Each of the others asks again as soon as its answer is under way, and so always has one that waits."""
    simulation = Simulation(Sizes(pages=40, max_running=max_running))
    for number in range(100):
        simulation.submit(sequence(number, max_tokens=3, owner="backlog"))
    polite = {owner: sequence(100, owner=owner, max_tokens=3) for owner in "bcdef"}
    served = 0
    for number in range(101, 200):
        for owner, own in polite.items():
            if own not in simulation.scheduler.waiting.sequences():
                polite[owner] = sequence(number, owner=owner, max_tokens=3)
                simulation.submit(polite[owner])
        simulation.step()
        served = 100 - sum(one.owner == "backlog" and not one.begun for one in simulation.lives)
    turns = 99 * max_running // 3  # of all
    assert served >= turns // 6 - max_running


def test_who_was_preempted_keeps_its_tokens_and_finds_its_pages() -> None:
    simulation = Simulation(Sizes(pages=20, page_tokens=2, max_running=2))
    for number in range(2):
        simulation.submit(sequence(number, max_tokens=9, cacheable=True, prompt=[number] * 4))
    after(4, simulation)
    preempted = running(simulation)[1]
    tokens = preempted.output.copy()
    simulation.submit(sequence(2, owner="b", max_tokens=2))
    simulation.step()
    assert preempted not in running(simulation)
    assert preempted.output == tokens
    plan = simulation.step()
    while preempted not in running(simulation):
        plan = simulation.step()
    assert [row.start for row in plan.rows if row.sequence is preempted] == [6]  # of 7 or 8 that it has
    assert preempted.cached_tokens == 0  # at its first try, nothing was known


def read(simulation: Simulation, new: Sequence) -> int:
    """How many of a prompt's tokens are computed, the rest being known."""
    simulation.submit(new)
    row = next(row for row in simulation.step().rows if row.sequence is new)
    assert new.cached_tokens == row.start
    while new in simulation.lives:
        simulation.step()
    return len(new.prompt) - row.start


PROMPT = [1, 0, 1, 1, 0]


def test_a_known_prefix_is_not_computed_again() -> None:
    simulation = Simulation(Sizes(page_tokens=2))
    assert read(simulation, sequence(0, prompt=PROMPT, cacheable=True)) == 5
    assert read(simulation, sequence(1, prompt=PROMPT, cacheable=True)) == 1
    assert read(simulation, sequence(2, prompt=[*PROMPT, 1, 0, 0], cacheable=True)) <= 4
    assert read(simulation, sequence(3, prompt=[1, 0, 1, 1], cacheable=True)) == 2  # the last token always is
    assert read(simulation, sequence(4, prompt=[1, 0, 0, 1, 0], cacheable=True)) == 3


def test_what_is_not_to_be_found_is_not() -> None:
    simulation = Simulation(Sizes(page_tokens=2))
    assert read(simulation, sequence(0, prompt=PROMPT)) == 5
    assert read(simulation, sequence(1, prompt=PROMPT, cacheable=True)) == 5
    assert read(simulation, sequence(2, prompt=PROMPT, cacheable=True, salt=b"b")) == 5
    assert read(simulation, sequence(3, prompt=PROMPT)) == 5
    logprobs = Sequence(PROMPT, Sampling(max_tokens=1, prompt_logprobs=0), cacheable=True)
    assert read(simulation, logprobs) == 5  # each of its tokens needs logits


def test_what_a_failed_sequence_computed_is_found_by_nobody() -> None:
    simulation = Simulation(Sizes(page_tokens=2))
    simulation.submit(sequence(0, prompt=PROMPT, cacheable=True), Life(cancelled_after=1, spoilt=True))
    after(2, simulation)
    assert read(simulation, sequence(1, prompt=PROMPT, cacheable=True)) == 5


def test_siblings_share_the_full_pages_of_their_prompt() -> None:
    simulation = Simulation(Sizes(pages=20, page_tokens=2))
    first = sequence(0, prompt=PROMPT, n=3)
    simulation.submit(first)
    simulation.step()
    assert simulation.pool.used == 2 + 3  # two full pages for all, and a last one each
    assert [one.index for one in running(simulation)] == [0, 1, 2]
    assert {tuple(one.pages[:2]) for one in running(simulation)} == {tuple(first.pages[:2])}


def test_the_youngest_gives_way_where_pages_run_out() -> None:
    simulation = Simulation(Sizes(pages=6, page_tokens=1, max_running=2))
    old, young = sequence(0, max_tokens=5), sequence(1, max_tokens=5)
    simulation.submit(old)
    simulation.submit(young)
    while old in simulation.lives:
        tokens = len(old.output)
        simulation.step()
        assert len(old.output) == tokens + 1
    assert simulation.scheduler.preemptions == 1
    assert young in simulation.lives
