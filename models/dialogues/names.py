"""Names people may give: a few hundred known ones, and made-up ones without number, so that copying is learned."""

from random import Random

from models.dialogues.corpus import Corpus

_CORPUS = Corpus.read("names")
KNOWN = _CORPUS.strings("known")
_ONSETS = _CORPUS.strings("onsets")
_VOWELS = _CORPUS.strings("vowels")
_CODAS = _CORPUS.strings("codas")
SYLLABLES = f"(?:(?:{'|'.join(_ONSETS)})(?:{'|'.join(_VOWELS)})(?:{'|'.join(_CODAS)}))+(?:na)?"
"""Every word that can be made up, and more, as a regular expression."""

SHAPE = f"(?:{'|'.join(KNOWN)}|{SYLLABLES})"
"""Every name there can be, letters of either case."""


def made_up(rng: Random, low: int = 1, high: int = 3) -> str:
    """A word of `low` to `high` made-up syllables, in lower case, of two letters or more."""
    syllables = (rng.choice(_ONSETS) + rng.choice(_VOWELS) + rng.choice(_CODAS) for _ in range(rng.randint(low, high)))
    word = "".join(syllables)
    return word if len(word) > 1 else word + "na"


def name(rng: Random) -> str:
    """A name, mostly written with a capital."""
    word = rng.choice(KNOWN) if rng.random() < 0.5 else made_up(rng, 1, 2).capitalize()
    chance = rng.random()
    return word.lower() if chance < 0.15 else word.upper() if chance < 0.16 else word
