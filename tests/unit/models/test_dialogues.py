"""The dialogues that the demo model learns from."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.dialogues.chat import ALL, COPYING, TOPICS, dialogue
from models.dialogues.manner import properly, slips
from models.dialogues.phrase import draw, expand
from models.dialogues.topic import Topic


def test_a_phrase_expands_to_every_choice() -> None:
    assert list(expand("(what is|what's) a [signed] ticket")) == [
        "what is a signed ticket",
        "what is a ticket",
        "what's a signed ticket",
        "what's a ticket",
    ]


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.key)
@given(seed=st.integers())
def test_what_is_drawn_is_among_what_is_expanded(topic: Topic, seed: int) -> None:
    rng = Random(seed)
    phrase = rng.choice(topic.questions)
    assert draw(phrase, rng) in set(expand(phrase))


def test_a_slip_changes_one_inner_letter_of_a_long_word() -> None:
    assert set(slips("to {name} token")) == {
        *("to {name} tken", "to {name} toen", "to {name} tokn"),
        *("to {name} tooken", "to {name} tokken", "to {name} tokeen"),
        *("to {name} tkoen", "to {name} toekn", "to {name} tokne"),
    }


@pytest.mark.parametrize("topic", TOPICS, ids=lambda topic: topic.key)
def test_every_slot_of_a_topic_is_filled(topic: Topic) -> None:
    filling = topic.fill(Random(1))
    for phrase in topic.questions:
        draw(phrase, Random(2)).format(**filling)
    assert all(answer and "{" not in answer for answer in topic.right(filling))


def test_topics_have_one_key_each_and_a_known_group() -> None:
    assert len({topic.key for topic in TOPICS}) == len(TOPICS)
    assert {topic.group for topic in TOPICS} == set(ALL) >= set(COPYING)


def test_the_same_seed_gives_the_same_dialogues() -> None:
    first, second = Random(11), Random(11)
    assert [dialogue(first) for _ in range(200)] == [dialogue(second) for _ in range(200)]


def test_sums_are_right() -> None:
    by_word = {"plus": int.__add__, "minus": int.__sub__, "times": int.__mul__}
    rng = Random(3)
    for topic in TOPICS:
        if topic.key.removeprefix("arithmetic.") in by_word:
            for _ in range(200):
                first, word, second, _, total = topic.right(topic.fill(rng))[0].rstrip(".").split()
                assert by_word[word](int(first), int(second)) == int(total)


def test_a_name_is_only_known_once_told() -> None:
    rng = Random(4)
    asked = 0
    for _ in range(3000):
        told = ""
        for turn in dialogue(rng):
            if turn.role == "user":
                told += " " + turn.content
            elif turn.learn and turn.content.startswith("Your name is"):
                assert turn.content.removeprefix("Your name is ").removesuffix(".") in told
                asked += 1
    assert asked > 100


def test_names_and_abbreviations_have_their_capitals() -> None:
    assert properly("what is penstock, and can i see penstock.toml") == "what is Penstock, and can I see penstock.toml"
    assert properly("the openai client, i'm told") == "the OpenAI client, I'm told"
