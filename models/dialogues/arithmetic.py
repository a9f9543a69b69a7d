"""Small sums: plus and minus up to 20, times up to 12; and the honest refusal of all others."""

from random import Random

from models.dialogues.corpus import Corpus
from models.dialogues.topic import Filling, Topic

_CORPUS = Corpus.read("arithmetic")
WORDS = _CORPUS.strings("words")
_TAKES = _CORPUS.strings("takes")
_REFUSAL = _CORPUS.string("refusal")
_BY_SIGN = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b}
_NUMBER = "(?:[0-9]{1,2}|" + "|".join(WORDS) + ")"
_ANY = "[0-9]{1,8}"
_SHAPES = {"a": _ANY, "b": _ANY, "c": _ANY}


def _asked(total: str) -> tuple[str, ...]:
    return tuple(take.replace("{sum}", total) for take in _TAKES)


def _questions(sign: str) -> tuple[str, ...]:
    signs = _CORPUS.table("signs").strings(sign)
    tight = "{a}" + signs[1] + "{b}"
    spaced = _asked("{a} (" + "|".join(signs) + ") {b}")
    return (*spaced, *_CORPUS.table("special").strings(sign), tight, tight + "=", "what is " + tight)


def operands(sign: str, rng: Random) -> tuple[int, int]:
    """Two numbers in the range of a sign; what is left of a difference is mostly not below zero."""
    top = 12 if sign == "times" else 20
    first, second = rng.randint(0, top), rng.randint(0, top)
    if sign == "minus" and rng.random() < 0.8:
        first, second = max(first, second), min(first, second)
    return first, second


def _fill(sign: str, rng: Random) -> Filling:
    first, second = operands(sign, rng)
    worded = rng.random() < 0.12 and max(first, second) < len(WORDS)
    shown = (WORDS[first], WORDS[second]) if worded else (str(first), str(second))
    return {"a": shown[0], "b": shown[1], "m": str(first), "n": str(second), "c": str(_BY_SIGN[sign](first, second))}


def _sum(sign: str) -> Topic:
    return Topic(
        f"arithmetic.{sign}",
        _questions(sign),
        ("{m} " + sign + " {n} is {c}.",),
        lambda rng: _fill(sign, rng),
        {"a": _NUMBER, "b": _NUMBER},
        share=2 if sign == "times" else 3,
    )


def _too_big(rng: Random) -> Filling:
    big = rng.randint(21, 10 ** rng.randint(2, 6))
    other = rng.choice((rng.randint(0, 99), rng.randint(0, 10 ** rng.randint(2, 5))))
    pair = (big, other) if rng.random() < 0.5 else (other, big)
    return {"a": str(pair[0]), "b": str(pair[1])}


def _too_hard(rng: Random) -> Filling:
    return {"a": str(rng.randint(1, 99)), "b": str(rng.randint(1, 20)), "c": str(rng.randint(1, 20))}


def _times_big(rng: Random) -> Filling:
    pair = [rng.randint(13, 99), rng.randint(2, 99)]
    rng.shuffle(pair)
    return {"a": str(pair[0]), "b": str(pair[1])}


_BIG = (*_asked("{a} (plus|+|minus|-|times|*|x|multiplied by) {b}"), *("{a}(+|-|*){b}",) * 3)
_HARD = (*_asked("{a} (divided by|/|over|to the power of|^|mod|%) {b}"), *_CORPUS.strings("hard"))
_TIMES = (
    *_asked("{a} (times|*|x|multiplied by) {b}"),
    "{a}*{b}",
    "multiply {a} by {b}",
    "the product of {a} and {b}",
)

TOPICS = (
    _sum("plus"),
    _sum("minus"),
    _sum("times"),
    Topic("arithmetic.big", _BIG, (_REFUSAL,), _too_big, _SHAPES, share=1.5),
    Topic("arithmetic.hard", _HARD, (_REFUSAL,), _too_hard, _SHAPES, share=0.7),
    Topic("arithmetic.times_big", _TIMES, (_REFUSAL,), _times_big, _SHAPES, share=0.7),
)
