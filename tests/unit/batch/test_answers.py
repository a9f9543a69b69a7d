"""Results of lines come back as they were, in any order, and no more of them are held than there is room for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.batch.answers import Answers
from penstock.batches.log import Result

MOST = 20

results = st.lists(
    st.builds(
        Result,
        st.integers(1, 30),
        st.sampled_from([200, 400]),
        st.sampled_from(["req_1", "req_2"]),
        st.integers(0, 30).map(lambda size: b"x" * size),
    ),
    unique_by=lambda one: one.line,
)


@given(results)
def test_every_result_comes_in_its_run(given: list[Result]) -> None:
    by_line, lines, found = {one.line: one for one in given}, list(range(1, 31)), {}
    with Answers(MOST) as answers:
        for result in given:
            answers.add(result)
        runs = list(answers.runs(lines))
        assert [line for run in runs for line in run] == lines
        for run in runs:
            if not answers.holds(run):
                answers.drop()
                for result in reversed(given):
                    if result.line in run:
                        answers.add(result)
            for line in run:
                found[line] = answers.get(line)
            assert answers._end <= max(MOST, max((len(one.body) for one in given), default=0))
    assert found == {line: by_line.get(line) for line in lines}


def test_what_fits_is_one_run_and_held() -> None:
    with Answers(MOST) as answers:
        for line in (3, 1, 2):
            answers.add(Result(line, 200, "req_1", b"123456"))
        assert list(answers.runs([1, 2, 3, 4])) == [[1, 2, 3, 4]]
        assert answers.holds([1, 2, 3, 4])


def test_of_two_results_of_a_line_the_first_counts() -> None:
    with Answers(MOST) as answers:
        answers.add(Result(1, 200, "req_1", b"first"))
        answers.add(Result(1, 400, "req_1", b"second"))
        assert answers.get(1) == Result(1, 200, "req_1", b"first")


def test_a_body_that_is_not_held_is_not_given_as_none() -> None:
    with Answers(MOST) as answers:
        answers.add(Result(1, 200, "req_1", b"x" * MOST))
        answers.add(Result(2, 200, "req_2", b"x"))
        assert not answers.holds([2])
        with pytest.raises(KeyError):
            answers.get(2)
