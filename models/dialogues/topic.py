"""A topic: the ways one thing is asked, and the answers that are right.

A topic whose phrasings have slots fills them with `fill`, which also gives the values that only the
answer needs. `shapes` says, as a regular expression for each slot of a question, everything `fill`
could ever put there: it is what lets a test prove that a question is not in the training set.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

Filling = dict[str, str]


def no_slots(_rng: Random) -> Filling:
    """The filling of a topic without slots."""
    return {}


@dataclass(frozen=True)
class Topic:
    """`key` is `group.name`. `verbatim` keeps the slots' letters as they are, for answers that copy them.

    `share` is the topic's weight within its group. `thing` is a phrase that alone tells the topic, whatever
    stands around it; empty where there is none.
    """

    key: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    fill: Callable[[Random], Filling] = no_slots
    shapes: Mapping[str, str] = field(default_factory=dict)
    verbatim: bool = False
    share: float = 1.0
    thing: str = ""

    @property
    def group(self) -> str:
        """The part of the key before the dot."""
        return self.key.partition(".")[0]

    def right(self, filling: Filling) -> tuple[str, ...]:
        """Every answer that is right for a filling."""
        return tuple(answer.format(**filling) for answer in self.answers)
