"""How limits are told in headers: OpenAI's `x-ratelimit-*`, on answers and on the 429 or 402 that passes one.

The headers' names and the form of their durations (`20ms`, `1s`, `6m0s`) are those of OpenAI's guide
"Rate limits". They speak of the limits per minute, of account or key, whichever has less left; a refusal's
body has the numbers of the limit that it is about, whatever that is (`penstock.refusals`).
"""

from collections.abc import Mapping

from penstock import refusals
from penstock.clock import MINUTE, SECOND, next_minute
from penstock.errors import ApiError
from penstock.ledger import LimitName, Refused, Standings

_HEADER_NAMES: Mapping[LimitName, str] = {
    LimitName.REQUESTS_PER_MINUTE: "requests",
    LimitName.TOKENS_PER_MINUTE: "tokens",
}


def rate_limit_headers(standings: Standings, now: int) -> dict[str, str]:
    """The `x-ratelimit-*` headers, for the limits per minute that are set."""
    headers = {}
    reset = duration(next_minute(now) - now)
    for limit, name in _HEADER_NAMES.items():
        if (standing := standings.get(limit)) is not None:
            headers[f"x-ratelimit-limit-{name}"] = str(standing.limit)
            headers[f"x-ratelimit-remaining-{name}"] = str(standing.remaining)
            headers[f"x-ratelimit-reset-{name}"] = reset
    return headers


def duration(milliseconds: int) -> str:
    """A time as OpenAI writes it. Whole numbers only, rounded up: that is what clients read."""
    if milliseconds < SECOND:
        return f"{milliseconds}ms"
    minutes, rest = divmod(-(-milliseconds // SECOND), MINUTE // SECOND)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


def refusal(refused: Refused, now: int) -> ApiError:
    """The error of a refused reservation, with the headers of the other limits."""
    error = refusals.refusal(refused, now)
    error.headers.update(rate_limit_headers(refused.standings, now))
    return error
