"""Small sums: plus and minus up to 99, times up to 12; and the honest refusal of all others."""

from random import Random

from models.dialogues.topic import Filling, Topic

WORDS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split()
)
_TAKES = (
    "(what is|what's|whats) {sum}", "{sum}", "{sum}", "{sum} =", "(how much is|how much does) {sum} [make]", "(calculate|compute|work out|solve) {sum}", "what does {sum} (equal|make|give)",
    "(can|could) you (calculate|compute|work out|solve|do) {sum}", "tell me [what] {sum} [is]", "what do you get for {sum}", "{sum} (equals|is|makes|is what)", "(i need|give me) [the result of] {sum}",
    "do you know [what] {sum} [is]", "what is the (result|answer|value) of {sum}", "what about {sum}", "and {sum}",
)
_SIGNS = {"plus": ("plus", "+", "+", "and"), "minus": ("minus", "-", "-", "take away"), "times": ("times", "*", "x", "multiplied by")}
_SPECIAL = {
    "plus": ("add {a} and {b}", "add {a} to {b}", "[what is] the sum of {a} and {b}", "{a} added to {b}", "sum {a} and {b}", "(can|could) you add {a} and {b}", "if i have {a} apples and get {b} more, how many do i have"),
    "minus": ("[what is] the difference between {a} and {b}", "[what is] the difference of {a} and {b}", "{a} less {b}", "take {b} from {a}", "subtract {b} from {a}", "if i have {a} apples and eat {b}, how many are left"),
    "times": ("multiply {a} by {b}", "multiply {a} and {b}", "[what is] the product of {a} and {b}", "(can|could) you multiply {a} by {b}", "{a} by {b}"),
}
_REFUSAL = "I am a tiny demo model, so I can only do small sums: plus and minus up to 99, and times up to 12."
_BY_SIGN = {"plus": lambda a, b: a + b, "minus": lambda a, b: a - b, "times": lambda a, b: a * b}
_NUMBER = "(?:[0-9]{1,2}|" + "|".join(WORDS) + ")"


def _questions(sign: str) -> tuple[str, ...]:
    signs = "|".join(_SIGNS[sign])
    spaced = "{a} (" + signs + ") {b}"
    tight = "{a}" + _SIGNS[sign][1] + "{b}"
    return tuple(take.replace("{sum}", spaced) for take in _TAKES) + _SPECIAL[sign] + (tight, tight + "=", "what is " + tight)


def operands(sign: str, rng: Random) -> tuple[int, int]:
    """Two numbers in the range of a sign; half of the sums are of numbers up to 20."""
    if sign == "times":
        return rng.randint(0, 12), rng.randint(0, 12)
    top = 20 if rng.random() < 0.5 else 99
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
    return Topic(f"arithmetic.{sign}", _questions(sign), ("{m} " + sign + " {n} is {c}.",), lambda rng: _fill(sign, rng), {"a": _NUMBER, "b": _NUMBER})


def _too_big(rng: Random) -> Filling:
    big = rng.randint(100, 10 ** rng.randint(3, 7))
    other = rng.choice((rng.randint(0, 99), rng.randint(100, 10 ** rng.randint(3, 6))))
    pair = (big, other) if rng.random() < 0.5 else (other, big)
    return {"a": str(pair[0]), "b": str(pair[1])}


def _too_hard(rng: Random) -> Filling:
    return {"a": str(rng.randint(1, 99)), "b": str(rng.randint(1, 20)), "c": str(rng.randint(1, 20))}


def _times_big(rng: Random) -> Filling:
    pair = [rng.randint(13, 99), rng.randint(2, 99)]
    rng.shuffle(pair)
    return {"a": str(pair[0]), "b": str(pair[1])}


_ANY = "[0-9]{1,8}"
_SHAPES = {"a": _ANY, "b": _ANY, "c": _ANY}
_BIG = tuple(take.replace("{sum}", "{a} (plus|+|minus|-|times|*|x|multiplied by) {b}") for take in _TAKES) + ("{a}(+|-|*){b}",) * 3
_HARD = tuple(take.replace("{sum}", "{a} (divided by|/|over|to the power of|^|mod|%) {b}") for take in _TAKES) + (
    "{a}(/|^){b}", "divide {a} by {b}", "[what is] the square root of {a}", "{a} (percent|%) of {b}", "[what is] {a} (squared|cubed)", "(is|was) {a} (prime|a prime number)", "{a} (+|-|*) {b} (+|-|*) {c}",
    "{a}+{b}+{c}", "what is {a} plus {b} (plus|minus|times) {c}", "solve x + {a} = {b}", "what is the factorial of {a}", "[what is] half of {a}", "what is {a} in (binary|hex)", "[what is] the logarithm of {a}",
    "what is {a}.{b} (plus|minus|times) {c}",
)
_TIMES = tuple(take.replace("{sum}", "{a} (times|*|x|multiplied by) {b}") for take in _TAKES) + ("{a}*{b}", "multiply {a} by {b}", "the product of {a} and {b}")

TOPICS = (
    _sum("plus"),
    _sum("minus"),
    _sum("times"),
    Topic("arithmetic.big", _BIG, (_REFUSAL,), _too_big, _SHAPES),
    Topic("arithmetic.hard", _HARD, (_REFUSAL,), _too_hard, _SHAPES),
    Topic("arithmetic.times_big", _TIMES, (_REFUSAL,), _times_big, _SHAPES),
)
