"""How far a pull is, where there is no terminal: a line now and then, not one for each report."""

import pytest

from penstock.cli.progress import lines, size
from penstock.weights import Progress, Step


def at(step: Step, done: int, total: int = 1_000_000) -> Progress:
    return {"step": step, "done": done, "total": total}


def test_a_line_for_each_step_and_each_tenth_of_it() -> None:
    reports = [at("waiting", 0, 0), at("waiting", 0, 0)]
    reports += [at("fetching", done) for done in range(0, 1_000_000, 10_000)]
    reports += [at("checking", 0), at("checking", 50_000), at("done", 1_000_000)]
    said = list(lines(reports))
    assert said[0] == "waiting for another pull"
    assert said[1:11] == [f"fetching {percent} % of 1 MB" for percent in range(0, 100, 10)]
    assert said[11:] == ["comparing checksums 0 % of 1 MB", "done 100 % of 1 MB"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (350_007, "350 kB"),
        (1_200_000, "1.2 MB"),
        (15_231_000_000, "15.2 GB"),
        (10**13, "10,000.0 GB"),
    ],
)
def test_bytes_as_people_read_them(count: int, text: str) -> None:
    assert size(count) == text
