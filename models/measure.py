"""Asks the demo model what it was not trained on, and prints how often it answers right.

    python -m models.measure            a table, by group of topics
    python -m models.measure --json     one JSON object, with every wrong answer

Strict: an answer counts only if it is, letter for letter, one that the topic calls right. Greedy decoding
in float32. Slotted questions are asked several times with other fillings. Each question is asked alone,
and a sample of them again as the last of a chat of ten questions.
"""

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import torch
from rich.console import Console
from rich.table import Table
from transformers import AutoModelForCausalLM, AutoTokenizer

from models.dialogues import smalltalk
from models.dialogues.chat import TOPICS, dialogue
from models.dialogues.topic import Topic
from models.heldout import HELD_OUT

DEMO = Path(__file__).with_name("demo")
SEED = 7
FILLINGS = {"arithmetic": 20}
FEW = 6  # fillings of a slotted question of any other group
LATE = 100  # questions asked again late in a chat
LATE_TURNS = 9  # questions before them
AT_ONCE = 32
LONGEST = 400  # new tokens


@dataclass(frozen=True)
class Probe:
    """One question in its chat, and the answers that are right."""

    group: str
    messages: tuple[dict[str, str], ...]
    right: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """What the model answered to a probe."""

    probe: Probe
    answer: str

    @property
    def right(self) -> bool:
        """Whether the answer is one of the right ones, letter for letter."""
        return self.answer in self.probe.right


def probes(rng: Random) -> Iterator[Probe]:
    """Every held-out question, with its fillings."""
    topics = {topic.key: topic for topic in TOPICS}
    for key, questions in HELD_OUT.items():
        topic = topics[key]
        for question in questions:
            slotted = "{" in question or topic is smalltalk.ASKED
            for _ in range(FILLINGS.get(topic.group, FEW) if slotted else 1):
                yield _probe(topic, question, rng)


def _probe(topic: Topic, question: str, rng: Random) -> Probe:
    filling = topic.fill(rng)
    told = _told(filling["name"]) if topic is smalltalk.ASKED else ()
    return Probe(topic.group, (*told, _user(question.format(**filling))), topic.right(filling))


def _user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def _told(name: str) -> tuple[dict[str, str], ...]:
    greeting = smalltalk.TOLD.right({"name": name})[0]
    return _user(f"My name is {name}."), {"role": "assistant", "content": greeting}


def late(asked: list[Probe], rng: Random) -> Iterator[Probe]:
    """A sample of the probes, each as the last question of a long chat."""
    for probe in rng.sample(asked, LATE):
        yield Probe("late in a chat", (*_chat(rng), *probe.messages), probe.right)


def _chat(rng: Random) -> tuple[dict[str, str], ...]:
    """Nine questions and answers of training, none of which gives a name or a very long answer."""
    messages: list[dict[str, str]] = []
    while len(messages) < 2 * LATE_TURNS:
        turns = [turn for turn in dialogue(rng) if turn.role != "system"]
        short = len(turns) == 2 and turns[1].learn and len(turns[1].content) < 300
        if short and "Nice to meet you" not in turns[1].content:
            messages += [{"role": turn.role, "content": turn.content} for turn in turns]
    return tuple(messages)


class Answerer(Protocol):
    """Whatever answers chats."""

    def answer(self, chats: list[tuple[dict[str, str], ...]]) -> list[str]:
        """One answer to each chat."""


class Demo:
    """The demo model, greedy."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self._model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def answer(self, chats: list[tuple[dict[str, str], ...]]) -> list[str]:
        """The answers to some chats, decoded together."""
        inputs = self._tokenizer.apply_chat_template(
            [list(chat) for chat in chats],
            add_generation_prompt=True,
            padding=True,
            return_tensors="pt",
            return_dict=True,
        )
        with torch.inference_mode():
            written = self._model.generate(**inputs, max_new_tokens=LONGEST, do_sample=False)
        texts: list[str] = self._tokenizer.batch_decode(
            written[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
        return texts


def ask(demo: Answerer, asked: list[Probe]) -> list[Outcome]:
    """The outcomes of all probes, in order; chats of like length are decoded together."""
    order = sorted(range(len(asked)), key=lambda at: (len(asked[at].right[0]) // 60, len(str(asked[at].messages))))
    outcomes: dict[int, Outcome] = {}
    for start in range(0, len(order), AT_ONCE):
        places = order[start : start + AT_ONCE]
        answers = demo.answer([asked[at].messages for at in places])
        outcomes.update({at: Outcome(asked[at], answer) for at, answer in zip(places, answers, strict=True)})
    return [outcomes[at] for at in range(len(asked))]


def score(outcomes: Iterable[Outcome]) -> dict[str, tuple[int, int]]:
    """Right answers and questions of each group, and of all asked alone under `total`."""
    scores: dict[str, tuple[int, int]] = {}
    for outcome in outcomes:
        names = [outcome.probe.group] + ["total"] * (outcome.probe.group != "late in a chat")
        for name in names:
            right, asked = scores.get(name, (0, 0))
            scores[name] = right + outcome.right, asked + 1
    return scores


def show(scores: dict[str, tuple[int, int]]) -> None:
    """Prints the table."""
    table = Table("questions", "right", "asked", "share")
    for name, (right, asked) in scores.items():
        table.add_row(name, str(right), str(asked), f"{right / asked:.1%}")
    Console().print(table)


def report(scores: dict[str, tuple[int, int]], outcomes: list[Outcome]) -> str:
    """The scores and every wrong answer as JSON."""
    wrong = [
        {
            "group": each.probe.group,
            "question": each.probe.messages[-1]["content"],
            "answer": each.answer,
            "right": each.probe.right,
        }
        for each in outcomes
        if not each.right
    ]
    groups = {name: {"right": right, "asked": asked, "share": right / asked} for name, (right, asked) in scores.items()}
    return json.dumps({"scores": groups, "wrong": wrong})


def main() -> None:
    """Reads the command line, asks, and prints."""
    parser = argparse.ArgumentParser(description="Measure the demo model on held-out questions.")
    parser.add_argument("--model", type=Path, default=DEMO)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    chosen = parser.parse_args()
    rng = Random(SEED)
    alone = list(probes(rng))
    outcomes = ask(Demo(chosen.model), [*alone, *late(alone, rng)])
    scores = score(outcomes)
    if chosen.json:
        print(report(scores, outcomes))
    else:
        show(scores)


if __name__ == "__main__":
    main()
