"""How far a batch is, in words."""

import pytest

from penstock.cli.batch_progress import Lines, Progress, Rate, counted


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def at(status: str, done: int = 0, failed: int = 0, lines: int = 1_000) -> Progress:
    return Progress(status, lines, done - failed, failed, 0)


def test_a_line_for_each_status_and_each_tenth_of_the_lines() -> None:
    lines = Lines()
    steps = [at("validating", lines=0)] * 2 + [
        at("in_progress", done, failed=done // 500) for done in range(0, 1_000, 9)
    ]
    steps += [at("finalizing", 1_000, 1), at("completed", 1_000, 1)]
    said = [line for line in map(lines.line, steps) if line is not None]
    assert said[0] == "validating"
    assert said[1:3] == ["in progress: 0 of 1,000 lines, 0 errors", "in progress: 108 of 1,000 lines, 0 errors"]
    assert len(said) == 1 + 10 + 2
    assert said[-1] == "completed: 1,000 of 1,000 lines, 1 error"


def test_the_rate_is_of_late_and_not_of_what_was_there_before() -> None:
    clock = Clock()
    rate = Rate(clock)
    assert rate.after(5_000) is None
    clock.now += 10
    assert rate.after(6_000) == 100
    clock.now += 10
    assert rate.after(6_000) == 50
    clock.now += 30
    assert rate.after(6_000) == 0


@pytest.mark.parametrize(("number", "text"), [(0, "0 lines"), (1, "1 line"), (1_234, "1,234 lines")])
def test_things_are_counted(number: int, text: str) -> None:
    assert counted(number, "line") == text
