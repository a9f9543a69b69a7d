"""Masks beside the model: the same as at once, late ones fail alone, and nobody disturbs anybody."""

import random
import threading
import time
from collections.abc import Iterator

import pytest

from functions.gpu.engine import matcher as matcher_module
from functions.gpu.engine.matcher import MaskWorkers, Matcher
from functions.gpu.engine.protocol import EngineError, GrammarKind
from tests.tiny_model import make_tokenizer
from tests.unit.gpu.engine.grammar_walk import Writer, bits

PHONE = "[0-9]{3}-[0-9]{4}"


@pytest.fixture(scope="module")
def writer() -> Iterator[Writer]:
    writer = Writer(make_tokenizer())
    yield writer
    writer.grammars.close()


@pytest.fixture
def busy() -> Iterator[MaskWorkers]:
    """Workers with something else to do, until the test ends."""
    workers, free = MaskWorkers(threads=1), threading.Event()
    workers.submit(free.wait)
    yield workers
    free.set()
    workers.close()


def token(writer: Writer, letter: str) -> int:
    """The token of one ASCII character."""
    return next(number for number in range(writer.size) if writer.text.bytes_of(number) == letter.encode())


def wait_for(matcher: Matcher) -> None:
    while not matcher.ready():
        time.sleep(0.001)


def test_masks_of_the_workers_are_those_computed_at_once(writer: Writer) -> None:
    compiled, dice = writer.compile(GrammarKind.JSON_OBJECT), random.Random(0)
    beside, at_once = compiled.matcher(), compiled.matcher()
    chosen = None
    for _ in range(40):
        beside.start(chosen)
        if chosen is not None:
            at_once.advance(chosen)
        expected = at_once.mask()
        wait_for(beside)
        assert beside.take().equal(expected)
        assert beside.done == at_once.done
        if at_once.done:
            break
        allowed = set(bits(expected, writer.size).nonzero().flatten().tolist()) - writer.end_ids
        chosen = dice.choice(sorted(allowed))


def test_a_mask_stays_as_it_was_handed_out(writer: Writer) -> None:
    matcher = writer.compile(GrammarKind.REGEX, "ab").matcher()
    first = matcher.mask()
    kept = first.clone()
    matcher.advance(token(writer, "a"))
    assert not matcher.mask().equal(kept)
    assert first.equal(kept)


def test_done_as_soon_as_nothing_more_may_come(writer: Writer) -> None:
    matcher, done = writer.compile(GrammarKind.REGEX, "ab").matcher(), []
    for letter in "ab":
        matcher.advance(token(writer, letter))
        done.append(matcher.done)
    assert done == [False, True]
    assert writer.allowed(matcher) == writer.end_ids


@pytest.mark.parametrize("end", [0, -1])
def test_any_end_token_ends_an_answer_that_could_go_on(writer: Writer, end: int) -> None:
    matcher = writer.compile(GrammarKind.REGEX, "a+").matcher()
    assert not writer.allowed(matcher) & writer.end_ids
    matcher.advance(token(writer, "a"))
    done = [matcher.done]
    assert writer.allowed(matcher) > writer.end_ids
    matcher.advance(sorted(writer.end_ids)[end])
    assert [*done, matcher.done] == [False, True]


def test_a_token_that_may_not_come_fails_its_own_choice_alone(writer: Writer) -> None:
    compiled = writer.compile(GrammarKind.REGEX, PHONE)
    wrong, right = compiled.matcher(), compiled.matcher()
    with pytest.raises(EngineError, match="the grammar failed: ") as failed:
        wrong.advance(token(writer, "x"))
    assert "\n" not in str(failed.value)
    with pytest.raises(EngineError):
        wrong.mask()
    right.advance(token(writer, "7"))
    assert token(writer, "8") in writer.allowed(right)


def test_the_workers_report_a_failure_when_the_mask_is_taken(writer: Writer) -> None:
    matcher = writer.compile(GrammarKind.REGEX, PHONE).matcher()
    matcher.start(token(writer, "x"))
    wait_for(matcher)
    with pytest.raises(EngineError, match="the grammar failed"):
        matcher.take()


def test_a_mask_is_not_waited_for_and_fails_when_it_is_late(
    writer: Writer, busy: MaskWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = writer.compile(GrammarKind.REGEX, PHONE)
    automaton, neighbour = compiled.matcher()._automaton, compiled.matcher()
    patient, late = Matcher(automaton, busy), Matcher(automaton, busy)
    patient.start()
    monkeypatch.setattr(matcher_module, "PATIENCE", 0.0)
    late.start()
    assert (patient.ready(), late.ready()) == (False, True)
    with pytest.raises(EngineError, match="not known within 0 s"):
        late.take()
    neighbour.start()
    assert neighbour.job is not None
    neighbour.job.result()
    assert neighbour.take().any()


def test_a_mask_that_nobody_started_is_an_error(writer: Writer) -> None:
    matcher = writer.compile(GrammarKind.REGEX, PHONE).matcher()
    assert not matcher.ready()
    with pytest.raises(EngineError, match="no mask was started"):
        matcher.take()


def test_matchers_of_one_grammar_in_many_threads_write_what_they_write_alone(writer: Writer) -> None:
    compiled = writer.compile(GrammarKind.JSON_OBJECT)
    alone = {seed: writer.write(compiled, seed) for seed in range(8)}
    together: dict[int, str] = {}

    def write(seed: int) -> None:
        together[seed] = writer.write(compiled, seed)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in alone]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert together == alone


def test_closed_workers_start_nothing(writer: Writer) -> None:
    workers = MaskWorkers()
    workers.close()
    matcher = Matcher(writer.compile(GrammarKind.REGEX, PHONE).matcher()._automaton, workers)
    with pytest.raises(EngineError, match="closed"):
        matcher.start()
