"""What the demo model says about Penstock and about itself. The facts are those of the project's documentation."""

from models.dialogues.corpus import Corpus
from models.dialogues.topic import Topic

_CORPUS = Corpus.read("service")
ASKED = _CORPUS.strings("asked")
"""How any thing is asked about; `{x}` is the thing."""


def _topic(name: str, corpus: Corpus) -> Topic:
    thing, more = corpus.string("thing"), corpus.strings("more")
    frames = tuple(frame.replace("{x}", thing) for frame in ASKED) if thing else ()
    # What is particular to a thing is asked about half as often as all the frames together.
    often = max(1, len(frames) // (2 * len(more)))
    return Topic(
        f"service.{name}",
        frames + more * often,
        (corpus.string("answer"),),
        share=corpus.number("share", 1),
        thing=thing,
    )


TOPICS = tuple(_topic(name, corpus) for name, corpus in _CORPUS.tables("topics").items())
