"""Which lines come next: all others before suspects, suspects in slices that shrink, poison never again."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.shards.history import History
from functions.gpu.shards.slices import Group, Slices
from penstock.batches.log import Attempt
from tests.unit.gpu.shards.entries import begun, ended, shard_line


def numbers(group: Group | None) -> list[int]:
    assert group is not None
    return [line["line"] for line in group.lines]


def all_of(slices: Slices, most: int) -> list[tuple[list[int], bool]]:
    """All groups, each taken whole."""
    groups = []
    while (group := slices.next(most)) is not None:
        groups.append((numbers(group), group.suspects))
        slices.take(len(group.lines))
    return groups


def after_deaths(of: dict[int, int]) -> History:
    """So many deaths with each of these lines, none of them alone."""
    history = History()
    history.deaths.update(of)
    return history


def test_lines_come_in_their_order_until_all_are_taken() -> None:
    slices = Slices(map(shard_line, range(1, 8)), History())
    assert numbers(slices.next(3)) == numbers(slices.next(3)) == [1, 2, 3]
    slices.take(2)  # a slice may be made of some of them
    assert all_of(slices, 3) == [([3, 4, 5], False), ([6, 7], False)]
    assert slices.next(3) is None


def test_lines_that_are_done_do_not_come() -> None:
    history = History()
    for entry in (Attempt(1, "a"), begun(0, 1, 2, 3), ended(0, 1, failed=[3])):
        history.add(entry)
    assert all_of(Slices(map(shard_line, range(1, 5)), history), 64) == [([2, 4], False)]


def test_suspects_come_last_in_slices_that_shrink() -> None:
    deaths = dict.fromkeys(range(100, 120), 1) | dict.fromkeys(range(200, 206), 2) | {300: 3, 301: 3, 302: 4}
    lines = [*range(300, 303), *range(200, 206), *range(100, 120), *range(3)]
    assert all_of(Slices(map(shard_line, lines), after_deaths(deaths)), 64) == [
        ([0, 1, 2], False),
        (list(range(100, 116)), True),
        (list(range(116, 120)), True),
        ([200, 201, 202, 203], True),
        ([204, 205], True),
        ([300], True),
        ([301], True),
        ([302], True),
    ]


def test_a_line_that_was_at_too_many_deaths_is_poison() -> None:
    history = after_deaths({1: 5, 2: 4, 3: 2})
    history.alone.update({3: 2})
    slices = Slices(map(shard_line, range(1, 5)), history)
    assert [line["line"] for line in slices.poison] == [1, 3]
    assert all_of(slices, 64) == [([4], False), ([2], True)]


@given(
    lines=st.sets(st.integers(0, 200), min_size=1, max_size=60),
    poison=st.sets(st.integers(0, 200), max_size=3),
    most=st.integers(1, 64),
)
def test_whatever_kills_its_worker_is_found_out_and_all_others_are_done(
    lines: set[int], poison: Iterable[int], most: int
) -> None:
    """Attempts follow one another, each until it takes up a line that kills it; none is wasted on a line too often."""
    deadly, history, number = set(poison) & lines, History(), 0
    for attempt in range(1, 5 * len(deadly) + 3):
        history.add(Attempt(attempt, str(attempt)))
        slices = Slices(map(shard_line, sorted(lines)), history)
        for line in slices.poison:
            history.add(ended(number, failed=[line["line"]]))
            number += 1
        died = False
        while not died and (group := slices.next(most)) is not None:
            took = numbers(group)
            history.add(begun(number, *took))
            died = bool(deadly & set(took))
            if not died:
                history.add(ended(number, *took))
            number += 1
            slices.take(len(took))
        if not died:
            break
    assert history.done == lines
    assert history.failed == len(deadly)
    assert history.completed == len(lines) - len(deadly)
