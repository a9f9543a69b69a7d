"""Small facts: capitals, opposites, days, months, animals, colours, counting."""

from collections.abc import Mapping
from random import Random

from models.dialogues.arithmetic import WORDS
from models.dialogues.corpus import Corpus
from models.dialogues.topic import Filling, Topic

_CORPUS = Corpus.read("facts")
_ASKED = _CORPUS.table("asked")
CAPITALS = _CORPUS.pairs("capitals")
LOCATED = {city: land for land, city in CAPITALS.items() if land != "the United Kingdom"}
DAYS = _CORPUS.strings("days")
MONTHS = _CORPUS.strings("months")
OPPOSITES = _CORPUS.pairs("opposites")
COLOURS = _CORPUS.pairs("colours")
ANIMALS = _CORPUS.pairs("animals")
_ONE_WAY = ("aged", "weightless")  # opposites of which nobody asks the opposite


def _shape(values: Mapping[str, str] | tuple[str, ...]) -> str:
    return "(?:" + "|".join(values) + ")"


def _capital(rng: Random) -> Filling:
    land = rng.choice(tuple(CAPITALS))
    return {"land": land, "city": CAPITALS[land], "bare": land.removeprefix("the ")}


def _located(rng: Random) -> Filling:
    city = rng.choice(tuple(LOCATED))
    return {"city": city, "land": LOCATED[city]}


def _opposite(rng: Random) -> Filling:
    pair = list(rng.choice(tuple(OPPOSITES.items())))
    if pair[1] not in _ONE_WAY:
        rng.shuffle(pair)
    return {"word": pair[0], "other": pair[1]}


def _neighbour(cycle: tuple[str, ...], rng: Random) -> Filling:
    at = rng.randrange(len(cycle))
    return {"here": cycle[at], "after": cycle[(at + 1) % len(cycle)], "before": cycle[at - 1]}


def _animal(rng: Random) -> Filling:
    animal = rng.choice(tuple(ANIMALS))
    article = "an" if animal[0] in "aeiou" else "a"
    return {"a": article, "animal": animal, "A": article.capitalize(), "what": ANIMALS[animal]}


def _colour(rng: Random) -> Filling:
    thing = rng.choice(tuple(COLOURS))
    return {"thing": thing, "colour": COLOURS[thing], "Thing": thing[0].upper() + thing[1:]}


def _count(rng: Random) -> Filling:
    top = rng.randint(2, 20)
    shown = WORDS[top] if top < len(WORDS) and rng.random() < 0.3 else str(top)
    return {"top": shown, "numbers": ", ".join(str(number) for number in range(1, top + 1))}


def _down(rng: Random) -> Filling:
    top = rng.randint(2, 20)
    return {"top": str(top), "numbers": ", ".join(str(number) for number in range(top, 0, -1))}


def _amount(key: str, answer: str) -> Topic:
    questions = (
        f"how many {key}",
        f"how many {key}",
        f"(do you know|tell me|can you tell me|could you tell me) how many {key}",
        f"i wonder how many {key}",
        f"what is the number: how many {key}",
    )
    return Topic("facts.amount_" + key.replace(" ", "_"), questions, (answer,), share=0.3)


def _series(name: str, kind: str, cycle: tuple[str, ...]) -> tuple[Topic, Topic]:
    shapes = {"here": _shape(cycle)}
    after = tuple(
        question.replace("{kind}", kind)
        for question in _CORPUS.strings("after")
        if kind == "day" or "today" not in question
    )
    before = tuple(question.replace("{kind}", kind) for question in _CORPUS.strings("before"))
    return (
        Topic(
            f"facts.{name}_after",
            after,
            (f"The {kind} after {{here}} is {{after}}.",),
            lambda rng: _neighbour(cycle, rng),
            shapes,
        ),
        Topic(
            f"facts.{name}_before",
            before,
            (f"The {kind} before {{here}} is {{before}}.",),
            lambda rng: _neighbour(cycle, rng),
            shapes,
        ),
    )


def _list(name: str, corpus: Corpus) -> Topic:
    return Topic(f"facts.{name}", corpus.strings("asked"), (corpus.string("answer"),))


_COUNTED = _shape(WORDS)
TOPICS = (
    Topic(
        "facts.capital",
        _ASKED.strings("capital"),
        ("The capital of {land} is {city}.",),
        _capital,
        {"land": _shape(CAPITALS)},
        share=5,
    ),
    Topic(
        "facts.located",
        _ASKED.strings("located"),
        ("{city} is the capital of {land}.",),
        _located,
        {"city": _shape(LOCATED)},
        share=2,
    ),
    Topic(
        "facts.opposite",
        _ASKED.strings("opposite"),
        ("The opposite of {word} is {other}.",),
        _opposite,
        {"word": _shape((*OPPOSITES, *OPPOSITES.values()))},
        share=3,
    ),
    *_series("day", "day", DAYS),
    *_series("month", "month", MONTHS),
    *(_list(name, corpus) for name, corpus in _CORPUS.tables("lists").items()),
    Topic(
        "facts.animal",
        _ASKED.strings("animal"),
        ("{A} {animal} is {what}.",),
        _animal,
        {"a": "an?", "animal": _shape(ANIMALS)},
        share=3,
    ),
    Topic(
        "facts.colour",
        _ASKED.strings("colour"),
        ("{Thing} is {colour}.",),
        _colour,
        {"thing": _shape(COLOURS)},
        share=1.5,
    ),
    Topic(
        "facts.count",
        _ASKED.strings("count"),
        ("{numbers}.",),
        _count,
        {"top": f"(?:[0-9]{{1,2}}|{_COUNTED})"},
        share=3,
    ),
    Topic("facts.count_down", _ASKED.strings("count_down"), ("{numbers}.",), _down, {"top": "[0-9]{1,2}"}),
    *(_amount(key, answer) for key, answer in _CORPUS.pairs("amounts").items()),
)
