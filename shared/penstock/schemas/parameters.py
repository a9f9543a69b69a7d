"""What becomes of each parameter of a chat completion: honoured, accepted without effect, or refused.

A parameter that is silently ignored is a lie, so there is no fourth way. A refused one may be sent with a
value that asks for nothing (`n: 1`, `tools: []`), as clients do which always send their defaults.
docs/compatibility.md says the same to users; a test holds both against OpenAI's own client.
"""

from collections.abc import Mapping
from typing import Any

from penstock.errors import BadRequest, UnsupportedParameter

HONOURED = frozenset(
    {
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
    }
)

# Accepted, checked for their type, and without effect on the answer.
NO_OPS = frozenset(
    {
        "metadata",
        "parallel_tool_calls",
        "prompt_cache_key",
        "prompt_cache_retention",
        "safety_identifier",
        "user",
    }
)

# Refused, but for the values that ask for nothing; null always asks for nothing.
REFUSED: Mapping[str, tuple[Any, ...]] = {
    "audio": (),
    "frequency_penalty": (0,),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "modalities": (["text"],),
    "moderation": (),
    "n": (1,),
    "prediction": (),
    "presence_penalty": (0,),
    "prompt_cache_options": (),
    "reasoning_effort": ("none",),
    "response_format": ({"type": "text"},),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "tool_choice": ("none", "auto"),
    "tools": ([],),
    "top_logprobs": (0,),
    "verbosity": ("medium",),
    "web_search_options": (),
}


def without_refused(body: Mapping[str, Any]) -> dict[str, Any]:
    """The honoured and no-op parameters of a request's body.

    Raises UnsupportedParameter, or BadRequest for a name that OpenAI does not know either.
    """
    kept = {}
    for name, value in body.items():
        if name in HONOURED or name in NO_OPS:
            kept[name] = value
        elif name not in REFUSED:
            shown = name[:64]
            raise BadRequest(f"Unknown parameter: {shown!r}.", param=shown, code="unknown_parameter")
        elif not _asks_for_nothing(name, value):
            raise UnsupportedParameter(_refusal(name), param=name)
    return kept


def _asks_for_nothing(name: str, value: object) -> bool:
    # In Python True == 1; in JSON they differ.
    return value is None or any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in REFUSED[name]
    )


def _refusal(name: str) -> str:
    accepted = [repr(value) for value in REFUSED[name]]
    only = f" It may only be null or {' or '.join(accepted)}." if accepted else ""
    return f"{name!r} is not supported.{only}"
