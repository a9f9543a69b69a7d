"""How people dress a question: openers, closers, casing, punctuation, a slip of the finger.

Promises that a dressed question is one opener or none, the core (a phrasing, or a thing amid loose words)
with at most one slip in it, one closer or none, and punctuation and casing. The tests lean on that to
prove what training cannot contain.
"""

import re
from collections.abc import Iterator
from random import Random

from models.dialogues.corpus import Corpus

_CORPUS = Corpus.read("manner")
OPENERS = _CORPUS.strings("openers")
CLOSERS = _CORPUS.strings("closers")
LOOSE = _CORPUS.strings("loose")
_PROPER = {word.lower(): word for word in _CORPUS.strings("proper")}
_PROPERLY = re.compile(r"(?<![\w./-])(?:" + "|".join(sorted(_PROPER, key=len, reverse=True)) + r")(?![\w-]|\.\w)")
_JOINTS = (", ", ": ", ". ", " ", " - ", "! ")
_ENDS = ("?", "?", "?", "", "", ".", "!", "??", " ?", "...")
_WORD = re.compile(r"\{[^}]*\}|[A-Za-z]{5,}")


def slips(text: str) -> Iterator[str]:
    """Every way to drop, double or swap one inner letter of a word of five letters or more, outside slots."""
    for word in _WORD.finditer(text):
        if word[0].startswith("{"):
            continue
        for at in range(word.start() + 1, word.end() - 1):
            yield text[:at] + text[at + 1 :]
            yield text[:at] + text[at] + text[at:]
            yield text[:at] + text[at + 1] + text[at] + text[at + 2 :]


def slip(text: str, rng: Random) -> str:
    """The text with one slip, or as it is when no word is long enough."""
    choices = tuple(slips(text))
    return rng.choice(choices) if choices else text


def loosen(thing: str, rng: Random) -> str:
    """A thing amid some everyday words in no order: so that it is the thing that counts, not the frame."""
    before = [rng.choice(LOOSE) for _ in range(rng.randint(1, 4))]
    after = [rng.choice(LOOSE) for _ in range(rng.choice((0, 0, 1, 2, 3)))]
    return " ".join((*before, thing, *after))


def dress(core: str, rng: Random) -> str:
    """Perhaps an opener, perhaps a closer, and an end mark."""
    text = core
    if rng.random() < 0.22:
        text = rng.choice(OPENERS) + rng.choice(_JOINTS) + text
    if rng.random() < 0.14:
        text = text + rng.choice((" ", ", ", ". ")) + rng.choice(CLOSERS)
    return text + rng.choice(_ENDS)


def properly(text: str) -> str:
    """The text with the capitals that names and abbreviations have."""
    return _PROPERLY.sub(lambda word: _PROPER[word[0]], text)


def case(text: str, rng: Random) -> str:
    """With capitals mostly, then in lower case, as written, and now and then shouted; slots in braces survive."""
    chance = rng.random()
    if chance < 0.6:
        return re.sub(r"^[a-z]", lambda first: first[0].upper(), properly(text))
    if chance < 0.88:
        return _outside_slots(text, lower=True)
    return text if chance < 0.99 else _outside_slots(text, lower=False)


def _outside_slots(text: str, *, lower: bool) -> str:
    parts = re.split(r"(\{[^}]*\})", text)
    return "".join(part if part.startswith("{") else part.lower() if lower else part.upper() for part in parts)
