"""What the demo model is measured on is nothing that it was trained on."""

from random import Random

import pytest

from models.dialogues.chat import TOPICS, ask, dialogue
from models.dialogues.topic import Topic
from models.heldout import HELD_OUT
from tests.unit.models.training_set import TrainingSet, words_of

FREE = ("unknown.noise",)  # letters at random: its shape says no more than "one word"


@pytest.fixture(scope="module")
def training() -> TrainingSet:
    return TrainingSet(TOPICS)


def filled(key: str, question: str, rng: Random) -> str:
    topic = next(topic for topic in TOPICS if topic.key == key)
    return question.format(**topic.fill(rng))


def test_held_out_topics_exist() -> None:
    assert set(HELD_OUT) <= {topic.key for topic in TOPICS}


def test_no_held_out_question_is_asked_twice() -> None:
    asked = [(key, words_of(question)) for key, questions in HELD_OUT.items() for question in questions]
    assert len(asked) == len(set(asked))


def test_no_held_out_question_could_be_drawn_into_training(training: TrainingSet) -> None:
    rng = Random(1)
    could = [
        question
        for key, questions in HELD_OUT.items()
        for question in (filled(key, question, rng) for question in questions for _ in range(3))
        if training.could_hold(question)
    ]
    assert sorted(set(could)) == []


@pytest.mark.parametrize("topic", [topic for topic in TOPICS if topic.key not in FREE], ids=lambda topic: topic.key)
def test_the_proof_recognises_what_training_does_ask(training: TrainingSet, topic: Topic) -> None:
    rng = Random(2)
    for _ in range(20):
        question = ask(topic, topic.fill(rng), rng)
        assert training.could_hold(question), question


def test_training_draws_none_of_them() -> None:
    rng = Random(3)
    held_out = {words_of(question) for questions in HELD_OUT.values() for question in questions}
    for _ in range(2000):
        assert held_out.isdisjoint(words_of(turn.content) for turn in dialogue(rng) if turn.role == "user")
