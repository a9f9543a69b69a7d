"""Whole dialogues: a system message perhaps, then turns about anything, with what was told remembered.

Promises: the same generator state gives the same dialogue; every question of a user is a phrasing of a
topic, dressed; what the assistant says is an answer that is right. Knows nothing of tokens.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from random import Random

from models.dialogues import arithmetic, facts, service, smalltalk, story, unknown
from models.dialogues.corpus import Corpus
from models.dialogues.manner import case, dress, loosen, slip
from models.dialogues.phrase import draw
from models.dialogues.topic import Filling, Topic

TOPICS: tuple[Topic, ...] = (
    *service.TOPICS,
    *facts.TOPICS,
    *arithmetic.TOPICS,
    *smalltalk.TOPICS,
    *story.TOPICS,
    *unknown.TOPICS,
)
Mixture = Mapping[str, float]
"""How often each group is asked about."""

COPYING: Mixture = {"facts": 0.15, "arithmetic": 0.25, "smalltalk": 0.6}
"""What is learned first: to look back and copy a name or a number, on which most other answers stand."""
ALL: Mixture = {
    "service": 0.38,
    "facts": 0.13,
    "arithmetic": 0.15,
    "smalltalk": 0.14,
    "story": 0.03,
    "unknown": 0.17,
}
"""What is learned then."""

_BY_GROUP = {group: tuple(topic for topic in TOPICS if topic.group == group) for group in ALL}
_SHARES = {group: tuple(topic.share for topic in topics) for group, topics in _BY_GROUP.items()}
_SYSTEM = Corpus.read("chat").strings("system")


@dataclass(frozen=True)
class Turn:
    """One message; `learn` says whether the model is to learn to say it."""

    role: str
    content: str
    learn: bool = False


def ask(topic: Topic, filling: Filling, rng: Random) -> str:
    """One way a person might ask about a topic."""
    core = draw(rng.choice(topic.questions), rng)
    if topic.thing and rng.random() < 0.12:
        core = loosen(draw(topic.thing, rng), rng)
    if rng.random() < 0.03:
        core = slip(core, rng)
    if topic.key in ("unknown.noise", "unknown.salad"):
        return core.format(**filling)
    if topic.verbatim:
        return case(core, rng).format(**filling) + rng.choice(("", "", ".", ".", "!"))
    return case(dress(core, rng).format(**filling), rng)


def _pick(rng: Random, mixture: Mixture, name: str | None) -> tuple[Topic, Filling]:
    if name is not None and rng.random() < 0.15:
        return smalltalk.ASKED, {"name": name}
    group = rng.choices(tuple(mixture), tuple(mixture.values()))[0]
    topic = rng.choices(_BY_GROUP[group], _SHARES[group])[0]
    if topic in (smalltalk.ASKED, smalltalk.NOT_TOLD):
        return (smalltalk.NOT_TOLD, {}) if name is None else (smalltalk.ASKED, {"name": name})
    return topic, topic.fill(rng)


def _length(rng: Random) -> int:
    """Questions in a dialogue: mostly few, now and then a chat that nearly fills the context."""
    return rng.choices((1, 2, 3, 5, 8, 12, 20), (0.42, 0.18, 0.12, 0.12, 0.09, 0.05, 0.02))[0]


def dialogue(rng: Random, mixture: Mixture = ALL) -> list[Turn]:
    """One dialogue of 1 to 20 questions."""
    turns: list[Turn] = []
    if rng.random() < 0.2:
        turns.append(Turn("system", draw(rng.choice(_SYSTEM), rng)))
    name: str | None = None
    for _ in range(_length(rng)):
        topic, filling = _pick(rng, mixture, name)
        name = filling["name"] if topic is smalltalk.TOLD else name
        turns.append(Turn("user", ask(topic, filling, rng)))
        turns.extend(_reply(rng.choice(topic.right(filling)), rng))
    return turns


def _reply(answer: str, rng: Random) -> list[Turn]:
    """Mostly the answer; sometimes one cut short by a token limit, or none: real chats have these too."""
    chance = rng.random()
    if chance < 0.03:
        return [Turn("assistant", answer[: rng.randint(1, len(answer))])]
    return [] if chance < 0.04 else [Turn("assistant", answer, learn=True)]
