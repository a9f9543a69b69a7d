"""Prices in whole nano-dollars per token, versioned.

One dollar per million tokens is 1,000 nano-dollars per token, so every price of a thousandth of a dollar
per million tokens is a whole number here, and every cost is exact. `penstock.toml` holds the prices; a
lease carries the one that was in force when it was reserved, so that the edge and the GPU process never
disagree on it.
"""

from dataclasses import dataclass
from decimal import Decimal

NANO = 1_000_000_000  # nano-dollars in a dollar
_MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Price:
    """What a token costs, in nano-dollars: a prompt token, one found in the prefix cache, and a new one."""

    version: str
    prompt: int
    cached_prompt: int
    completion: int

    def cost(self, prompt_tokens: int, cached_prompt_tokens: int, completion_tokens: int) -> int:
        """The cost in nano-dollars. The cached tokens are among the prompt's, not beside them."""
        return (
            (prompt_tokens - cached_prompt_tokens) * self.prompt
            + cached_prompt_tokens * self.cached_prompt
            + completion_tokens * self.completion
        )

    def times(self, factor: Decimal, version: str) -> "Price":
        """Each of its prices times the factor. Raises ValueError where one is then no whole nano-dollar per token."""
        return Price(
            version=version,
            prompt=_whole(self.prompt * factor),
            cached_prompt=_whole(self.cached_prompt * factor),
            completion=_whole(self.completion * factor),
        )

    def most(self, prompt_tokens: int, completion_tokens: int, context_length: int, *, choices: int = 1) -> int:
        """The most that choices to one prompt can cost in nano-dollars: each within these bounds and the context."""
        dearest = max(self.prompt, self.cached_prompt)
        return max(
            prompt * dearest + choices * completion * self.completion
            for prompt, completion in extremes(prompt_tokens, completion_tokens, context_length)
        )


def extremes(prompt_tokens: int, completion_tokens: int, context_length: int) -> tuple[tuple[int, int], ...]:
    """The two splits of the context, (prompt, completion), of which one uses most, whatever a token counts.

    Prompt and completion share the context: that is either the longest prompt, with what it leaves for the
    completion, or the longest completion, with what it leaves for the prompt. In between, use only grows or
    only shrinks with the prompt, however many choices there are.
    """
    after_prompt = min(completion_tokens, max(context_length - prompt_tokens, 0))
    before_completion = min(prompt_tokens, max(context_length - completion_tokens, 0))
    return (prompt_tokens, after_prompt), (before_completion, min(completion_tokens, context_length))


def nano_per_token(dollars_per_million: Decimal) -> int:
    """A price as people write it, in dollars per million tokens, as nano-dollars per token.

    Raises ValueError where the price is negative or finer than a nano-dollar per token.
    """
    nano = dollars_per_million * NANO / _MILLION
    if nano < 0 or nano != nano.to_integral_value():
        raise ValueError(f"{dollars_per_million} dollars per million tokens is not a multiple of 0.001")
    return int(nano)


def _whole(nano: Decimal) -> int:
    if nano != nano.to_integral_value():
        raise ValueError(f"{nano.normalize():f} nano-dollars per token is not a whole number of them")
    return int(nano)


def dollars(nano: int) -> str:
    """Nano-dollars as exact dollars, without trailing zeros: `1500000` is `0.0015`."""
    sign, nano = ("-", -nano) if nano < 0 else ("", nano)
    text = f"{nano // NANO}.{nano % NANO:09d}".rstrip("0").rstrip(".")
    return sign + text


def nano_of(dollars_text: str) -> int:
    """Dollars as people write them (`12.50`) in nano-dollars. Raises ValueError where they are not exact."""
    try:
        nano = Decimal(dollars_text) * NANO
        whole = int(nano.to_integral_value())
    except (ArithmeticError, ValueError) as error:
        raise ValueError(f"{dollars_text!r} is not an amount in dollars") from error
    if nano < 0 or nano != whole:
        raise ValueError(f"{dollars_text!r} is not a whole, positive number of nano-dollars")
    return whole
