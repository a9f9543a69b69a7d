"""The process that grammars are tried in: it may die at any time, and says what is wrong."""

from collections.abc import Iterator

import pytest
from llguidance import LLMatcher

from functions.gpu.engine.protocol import EngineError, InvalidGrammar
from functions.gpu.engine.trial import Trial
from functions.gpu.engine.trial_process import LIMITS

GOOD = LLMatcher.grammar_from_regex("[0-9]{3}")
BAD = LLMatcher.grammar_from_regex("a(b")
ENDLESS = LLMatcher.grammar_from_json_schema('{"type": "integer", "multipleOf": 12345678}')


@pytest.fixture
def trial() -> Iterator[Trial]:
    trial = Trial()
    yield trial
    trial.close()


def test_says_what_is_wrong(trial: Trial) -> None:
    assert trial.check(GOOD) == ""
    assert "unclosed group" in trial.check(BAD)


def test_one_process_serves_many_grammars(trial: Trial) -> None:
    trial.check(GOOD)
    process = trial._process
    assert all(trial.check(GOOD) == "" for _ in range(20))
    assert trial._process is process


def test_what_takes_too_long_ends_the_process_and_the_next_one_starts(trial: Trial) -> None:
    with pytest.raises(InvalidGrammar, match="too complex"):
        trial.check(ENDLESS)
    assert trial.check(GOOD) == ""


def test_a_process_that_died_is_replaced(trial: Trial) -> None:
    trial.check(GOOD)
    assert trial._process is not None
    trial._process.kill()
    trial._process.wait()
    assert trial.check(GOOD) == ""


def test_what_fails_on_the_way_of_an_answer_is_found(trial: Trial) -> None:
    names = range(LIMITS.max_items_in_row // 3)  # each may come next, or be left out
    optional = ",".join(f'"p{name}": {{"type": "null"}}' for name in names)
    source = LLMatcher.grammar_from_json_schema(f'{{"type": "object", "properties": {{{optional}}}}}')
    assert "items" in trial.check(source)


def test_nothing_is_tried_once_closed(trial: Trial) -> None:
    trial.close()
    with pytest.raises(EngineError, match="closed"):
        trial.check(GOOD)
