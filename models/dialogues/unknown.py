"""Everything else: questions of many shapes, each with the honest answer that a tiny model does not know.

The shapes share their beginnings with the questions it does know ("what is …", "tell me about …"), so
that the model learns to look at the thing asked about and not at the shape.
"""

import re
from random import Random

from models.dialogues.corpus import Corpus
from models.dialogues.names import SHAPE, SYLLABLES, made_up, name
from models.dialogues.service import ASKED
from models.dialogues.topic import Filling, Topic

_CORPUS = Corpus.read("unknown")
ANSWER = _CORPUS.string("answer")
THINGS = _CORPUS.strings("things")
_DOINGS = _CORPUS.strings("doings")
_PEOPLE = _CORPUS.strings("people")
_LANDS = _CORPUS.strings("lands")
_ADJECTIVES = _CORPUS.strings("adjectives")
_FILLER = _CORPUS.strings("filler")
_FOREIGN = _CORPUS.strings("foreign")
_SCRIPTS = (
    (0x410, 0x44F),
    (0x4E00, 0x4F00),
    (0x3041, 0x3093),
    (0x391, 0x3C9),
    (0x5D0, 0x5EA),
    (0x627, 0x64A),
    (0x1F600, 0x1F640),
    (0xC0, 0xFF),
    (0xAC00, 0xAD00),
    (0x905, 0x939),
)
"""First and last code point of other people's letters, and of emoji."""
_NOT_OF_HERE = ("show me {x}", "help me with {x}")
_SHAPES = (*(frame for frame in ASKED if frame not in _NOT_OF_HERE), *_CORPUS.strings("shapes"))


def _plain(rng: Random) -> str:
    known = rng.random() < 0.8
    thing = rng.choice(THINGS) if known else rng.choice(("", "the ", "a ")) + made_up(rng, 2, 3)
    return thing if rng.random() < 0.75 else " ".join(map(str.capitalize, thing.split()))


def _bare(thing: str) -> str:
    return re.sub("^(the|an?) ", "", thing, flags=re.IGNORECASE)


def _fill(rng: Random) -> Filling:
    person = (
        rng.choice(_PEOPLE)
        if rng.random() < 0.6
        else name(rng) + (" " + made_up(rng, 2, 3).capitalize() if rng.random() < 0.5 else "")
    )
    land = rng.choice(_LANDS) if rng.random() < 0.4 else made_up(rng, 2, 3).capitalize()
    number = str(
        rng.choice((rng.randint(100, 399), rng.randint(430, 499), rng.randint(504, 999), rng.randint(1000, 2100)))
    )
    number = "418" if number == "307" else number
    return {
        "x": _plain(rng),
        "y": _plain(rng),
        "thing": _bare(_plain(rng)),
        "do": rng.choice(_DOINGS),
        "p": person,
        "l": land,
        "n": number,
        "adj": rng.choice(_ADJECTIVES),
        "nonsense": made_up(rng, 2, 3),
    }


def _salad(rng: Random) -> Filling:
    return {"salad": " ".join(rng.choice(_FILLER) for _ in range(rng.choice((5, 7, 10, 15, 25))))}


def _noise(rng: Random) -> Filling:
    kind = rng.random()
    length = rng.choice((1, 2, 3, 5, 8, 12, 20))
    if kind < 0.35:
        low, high = rng.choice(_SCRIPTS)
        return {"noise": "".join(chr(rng.randint(low, high)) for _ in range(length))}
    if kind < 0.6:
        return {"noise": "".join(rng.choice("asdfghjklqwertyuiopzxcvbnm") for _ in range(length))}
    if kind < 0.8:
        return {"noise": rng.choice(_FOREIGN)}
    return {
        "noise": "".join(chr(rng.randint(33, 126)) for _ in range(length))
        if kind < 0.95
        else rng.choice(("", "?", "...", "!", " ", "0", "x", "123", "???"))
    }


def _any(*choices: str) -> str:
    return "(?:" + "|".join(choices) + ")"


_FILLS = {
    "x": _any(*THINGS, "(?:the |a |)" + SYLLABLES),
    "y": _any(*THINGS, "(?:the |a |)" + SYLLABLES),
    "thing": _any(*map(_bare, THINGS), SYLLABLES),
    "do": _any(*_DOINGS),
    "p": _any(*_PEOPLE, f"{SHAPE}(?: {SYLLABLES})?"),
    "l": _any(*_LANDS, SYLLABLES),
    "n": "[0-9]{3,4}",
    "adj": _any(*_ADJECTIVES),
    "nonsense": SYLLABLES,
}
_SALAD = f"(?:{_any(*_FILLER)}(?: |$)){{5,}}"

TOPICS = (
    Topic("unknown.asked", _SHAPES, (ANSWER,), _fill, _FILLS, share=10, thing="{x}"),
    Topic("unknown.salad", ("{salad}",), (ANSWER,), _salad, {"salad": _SALAD}),
    Topic("unknown.noise", ("{noise}",), (ANSWER,), _noise, {"noise": _any(*_FOREIGN, "[^ ]*")}),
)
