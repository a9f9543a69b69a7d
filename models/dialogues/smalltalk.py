"""Greetings, thanks, goodbyes, names told and asked for, and words to repeat."""

from random import Random

from models.dialogues.corpus import Corpus
from models.dialogues.names import KNOWN, SHAPE, SYLLABLES, made_up, name
from models.dialogues.topic import Filling, Topic

_CORPUS = Corpus.read("smalltalk")
_ASKED = _CORPUS.table("asked")
_WORDS = _CORPUS.strings("words")


def _name(rng: Random) -> Filling:
    return {"name": name(rng)}


def _words(rng: Random) -> Filling:
    def word() -> str:
        chance = rng.random()
        text = rng.choice(_WORDS) if chance < 0.6 else made_up(rng) if chance < 0.85 else rng.choice(KNOWN)
        return text.capitalize() if rng.random() < 0.15 else text

    return {"words": " ".join(word() for _ in range(rng.choice((1, 1, 2, 2, 3, 4, 5))))}


TOLD = Topic(
    "smalltalk.told",
    _ASKED.strings("told"),
    ("Hello {name}! Nice to meet you. How can I help you?",),
    _name,
    {"name": SHAPE},
    verbatim=True,
    share=8,
)
ASKED = Topic("smalltalk.asked", _ASKED.strings("asked"), ("Your name is {name}.",), _name, share=2)
NOT_TOLD = Topic("smalltalk.not_told", _ASKED.strings("asked"), ("You have not told me your name yet.",), share=1)
ECHO = Topic(
    "smalltalk.echo",
    _ASKED.strings("echo"),
    ("{words}",),
    _words,
    {"words": f"(?:(?:{'|'.join((*_WORDS, *KNOWN))}|{SYLLABLES})(?: |$))+"},
    verbatim=True,
    share=6,
)


def _plain(name: str, corpus: Corpus) -> Topic:
    answers = (corpus.string("answer"),)
    return Topic(f"smalltalk.{name}", corpus.strings("asked"), answers, share=corpus.number("share"))


_PLAIN = {name: _plain(name, corpus) for name, corpus in _CORPUS.tables("plain").items()}
TOPICS = (
    *(_PLAIN[name] for name in ("hello", "bye", "thanks", "how")),
    TOLD,
    ASKED,
    NOT_TOLD,
    ECHO,
    _PLAIN["test"],
)
