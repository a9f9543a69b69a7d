"""The small grammar in which phrasings are written.

`(a|b)` is a choice, `[a]` is optional, and both nest. `{name}` is a slot that a topic fills.
Everything else is literal. `expand` lists every phrasing; `draw` picks one.
"""

import re
from collections.abc import Iterator
from itertools import chain
from random import Random

_CHOICE = re.compile(r"\(([^()]*)\)")
_SPACES = re.compile(r"\s+")


def _plain(phrase: str) -> str:
    return phrase.replace("[", "(").replace("]", "|)")


def _tidy(text: str) -> str:
    return _SPACES.sub(" ", text).strip().replace(" ,", ",")


def draw(phrase: str, rng: Random) -> str:
    """One phrasing, each choice made on its own."""
    text = _plain(phrase)
    while (found := _CHOICE.search(text)) is not None:
        choice = rng.choice(found[1].split("|"))
        text = text[: found.start()] + choice + text[found.end() :]
    return _tidy(text)


def expand(phrase: str) -> Iterator[str]:
    """Every phrasing, in order; some may repeat."""
    return map(_tidy, _expand(_plain(phrase)))


def _expand(text: str) -> Iterator[str]:
    found = _CHOICE.search(text)
    if found is None:
        return iter((text,))
    head, tail = text[: found.start()], text[found.end() :]
    return chain.from_iterable(_expand(head + choice + tail) for choice in found[1].split("|"))
