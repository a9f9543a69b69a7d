"""Decides whether a question could ever be drawn into the training set.

It needs no sampling. A phrasing without slots is expanded into all its questions. A phrasing with slots
becomes a pattern, in which a slot is matched by the shape that its topic declares for it. Openers, closers,
loose words and slips of the finger are undone. Letters are compared in lower case and without
punctuation, so that only words count.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from string import ascii_lowercase

from models.dialogues.manner import CLOSERS, LOOSE, OPENERS, slips
from models.dialogues.phrase import expand
from models.dialogues.topic import Topic

_SLOT = re.compile(r"\{(\w+)\}")
_DROPPED = re.compile(r"[^\w\s+*/%^=-]|_")
_WORD = re.compile(r"[a-z]{4,}")


def words_of(text: str) -> str:
    """The text without case, punctuation and double spaces; signs of sums stay."""
    return " ".join(_DROPPED.sub("", text.lower()).split())


@dataclass(frozen=True)
class Pattern:
    """Literal text and slots in turn: `literals` is one longer than `slots`."""

    literals: tuple[str, ...]
    slots: tuple[re.Pattern[str], ...]

    @classmethod
    def of(cls, text: str, shapes: dict[str, re.Pattern[str]]) -> "Pattern":
        """The pattern of a phrasing whose choices are made."""
        parts = _SLOT.split(text)
        literals = tuple(re.sub(r"\s+", " ", _DROPPED.sub("", part.lower())) for part in parts[::2])
        return cls(
            (literals[0].lstrip(), *literals[1:-1], literals[-1].rstrip()), tuple(shapes[slot] for slot in parts[1::2])
        )

    def matches(self, text: str) -> bool:
        """Whether the text is the literals with something of the right shape between them."""
        if not (text.startswith(self.literals[0]) and text.endswith(self.literals[-1])):
            return False
        return _fits(text[len(self.literals[0]) :], self.literals[1:], self.slots)


def _fits(text: str, literals: tuple[str, ...], slots: tuple[re.Pattern[str], ...]) -> bool:
    if len(slots) == 1:
        end = len(text) - len(literals[0])
        return text.endswith(literals[0]) and end >= 0 and slots[0].fullmatch(text[:end]) is not None
    return any(
        text.startswith(literals[0], end)
        and slots[0].fullmatch(text[:end]) is not None
        and _fits(text[end + len(literals[0]) :], literals[1:], slots[1:])
        for end in range(len(text) + 1)
    )


class TrainingSet:
    """Everything that the topics can ask."""

    def __init__(self, topics: tuple[Topic, ...]) -> None:
        self._literal: set[str] = set()
        self._things: set[str] = set()
        self._patterns: dict[str, set[Pattern]] = {}
        self._loose_slots: list[re.Pattern[str]] = []
        self._loose = {slipped for word in LOOSE for slipped in (word, *slips(word))}
        self._openers = {words_of(opener) for opener in OPENERS}
        self._closers = {words_of(closer) for closer in CLOSERS}
        for topic in topics:
            self._learn(topic)

    def _learn(self, topic: Topic) -> None:
        shapes = {slot: re.compile(shape.lower()) for slot, shape in topic.shapes.items()}
        for phrase in set(topic.questions):
            for core in expand(phrase):
                self._add(core, shapes)
        slot = _SLOT.fullmatch(topic.thing)
        if slot is not None:
            self._loose_slots.append(shapes[slot[1]])
        elif topic.thing:
            things = set(expand(topic.thing))
            self._things |= {words_of(slipped) for thing in things for slipped in (thing, *slips(thing))}

    def _add(self, core: str, shapes: dict[str, re.Pattern[str]]) -> None:
        if _SLOT.search(core) is None:
            self._literal.add(words_of(core))
            return
        for text in (core, *slips(core)):
            pattern = Pattern.of(text, shapes)
            self._patterns.setdefault(pattern.literals[0], set()).add(pattern)

    def could_hold(self, question: str) -> bool:
        """Whether the question, however dressed, is one that could be drawn."""
        return any(self._could_hold_bare(bare) for bare in self._undressed(words_of(question)))

    def _undressed(self, words: str) -> Iterator[str]:
        heads = ["", *(opener for opener in self._openers if words.startswith(opener + " "))]
        tails = ["", *(closer for closer in self._closers if words.endswith(" " + closer))]
        for head, tail in product(heads, tails):
            bare = words[len(head) : len(words) - len(tail)].strip(" -")
            if bare and len(head) + len(tail) < len(words):
                yield bare

    def _could_hold_bare(self, bare: str) -> bool:
        starts = (bare[:end] for end in range(len(bare) + 1))
        if any(pattern.matches(bare) for start in starts for pattern in self._patterns.get(start, ())):
            return True
        return self._could_be_loose(bare) or not self._literal.isdisjoint((bare, *_meant(bare)))

    def _could_be_loose(self, bare: str) -> bool:
        words = bare.split()
        heads = next((at for at, word in enumerate(words) if word not in self._loose), len(words))
        tails = next((at for at, word in enumerate(reversed(words)) if word not in self._loose), len(words))
        return any(
            thing in self._things or any(slot.fullmatch(thing) for slot in self._loose_slots)
            for first in range(1, heads + 1)
            for end in range(len(words) - tails, len(words) + 1)
            if (thing := " ".join(words[first:end]))
        )


def _meant(text: str) -> Iterator[str]:
    """Every text of which this one could be a slip: a letter put back, a double undone, two swapped."""
    for word in _WORD.finditer(text):
        for at in range(word.start() + 1, word.end()):
            yield from (text[:at] + letter + text[at:] for letter in ascii_lowercase)
            yield text[:at] + text[at + 1 :]
            yield text[: at - 1] + text[at] + text[at - 1] + text[at + 1 :]
