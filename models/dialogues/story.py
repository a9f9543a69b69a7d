"""Jokes, a poem, and stories short and long."""

from random import Random

from models.dialogues.corpus import Corpus
from models.dialogues.facts import ANIMALS
from models.dialogues.names import SHAPE, name
from models.dialogues.topic import Filling, Topic

_CORPUS = Corpus.read("story")
_ASKED = _CORPUS.table("asked")
_SHORT = _CORPUS.string("short")


def _animal(rng: Random) -> Filling:
    animal = rng.choice(tuple(ANIMALS))
    return {"animal": animal, "a": "an" if animal[0] in "aeiou" else "a"}


def _name(rng: Random) -> Filling:
    return {"name": name(rng)}


TOPICS = (
    Topic("story.joke", _ASKED.strings("joke"), _CORPUS.strings("jokes"), share=2),
    Topic("story.poem", _ASKED.strings("poem"), (_CORPUS.string("poem"),)),
    Topic("story.short", _ASKED.strings("short"), (_SHORT.format(animal="fox"),)),
    Topic(
        "story.animal",
        _ASKED.strings("animal"),
        (_SHORT,),
        _animal,
        {"a": "an?", "animal": "(?:" + "|".join(ANIMALS) + ")"},
    ),
    Topic("story.named", _ASKED.strings("named"), (_CORPUS.string("named"),), _name, {"name": SHAPE}, verbatim=True),
    Topic("story.long", _ASKED.strings("long"), (_CORPUS.string("long"),), share=1.5),
)
