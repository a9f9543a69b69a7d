"""What becomes of each parameter of a request: honoured, accepted without effect, or refused.

A parameter that is silently ignored is a lie, so there is no fourth way. A refused one may be sent with a
value that asks for nothing (`tools: []`, `store: false`), as clients do which always send their defaults.
Extensions are honoured, and not OpenAI's: their names and meanings are vLLM's.
docs/compatibility.md says the same to users; a test holds both against OpenAI's own client.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from penstock.errors import BadRequest, UnsupportedParameter


@dataclass(frozen=True, slots=True)
class Parameters:
    """Those of one route."""

    honoured: frozenset[str]
    no_ops: frozenset[str]  # accepted, checked, and without effect on the answer
    # Refused, but for the values that ask for nothing; null always asks for nothing.
    refused: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    extensions: frozenset[str] = frozenset()

    @property
    def accepted(self) -> frozenset[str]:
        """The names that a request of this route has fields for."""
        return self.honoured | self.no_ops | self.extensions

    def known(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The accepted parameters of a request's body.

        Raises UnsupportedParameter, or BadRequest for a name that OpenAI does not know either.
        """
        kept, accepted = {}, self.accepted
        for name, value in body.items():
            if name in accepted:
                kept[name] = value
            elif name not in self.refused:
                shown = name[:64]
                raise BadRequest(f"Unknown parameter: {shown!r}.", param=shown, code="unknown_parameter")
            elif not _asks_for_nothing(value, self.refused[name]):
                raise UnsupportedParameter(_refusal(name, self.refused[name]), param=name)
        return kept


_SAMPLING = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_tokens",
        "model",
        "n",
        "presence_penalty",
        "seed",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "top_p",
    }
)
_EXTENSIONS = frozenset(
    {
        "ignore_eos",
        "min_p",
        "min_tokens",
        "repetition_penalty",
        "stop_token_ids",
        "structured_outputs",
        "top_k",
    }
)

CHAT = Parameters(
    honoured=_SAMPLING | {"max_completion_tokens", "messages", "response_format", "top_logprobs"},
    no_ops=frozenset(
        {
            "metadata",
            "parallel_tool_calls",
            "prompt_cache_key",
            "prompt_cache_retention",
            "safety_identifier",
            "user",
        }
    ),
    refused={
        "audio": (),
        "function_call": ("none", "auto"),
        "functions": ([],),
        "modalities": (["text"],),
        "moderation": (),
        "prediction": (),
        "prompt_cache_options": (),
        "reasoning_effort": ("none",),
        "service_tier": ("auto", "default"),
        "store": (False,),
        "tool_choice": ("none", "auto"),
        "tools": ([],),
        "verbosity": ("medium",),
        "web_search_options": (),
    },
    extensions=_EXTENSIONS,
)
COMPLETION = Parameters(
    honoured=_SAMPLING | {"echo", "prompt"},
    no_ops=frozenset({"best_of", "user"}),  # `best_of` may only be as many as `n`
    refused={"suffix": ("",)},
    extensions=_EXTENSIONS,
)
EMBEDDING = Parameters(
    honoured=frozenset({"dimensions", "encoding_format", "input", "model"}), no_ops=frozenset({"user"})
)


def _asks_for_nothing(value: object, neutrals: tuple[Any, ...]) -> bool:
    # In Python True == 1; in JSON they differ.
    return value is None or any(
        value == neutral and isinstance(value, bool) == isinstance(neutral, bool) for neutral in neutrals
    )


def _refusal(name: str, neutrals: tuple[Any, ...]) -> str:
    accepted = [repr(value) for value in neutrals]
    only = f" It may only be null or {' or '.join(accepted)}." if accepted else ""
    return f"{name!r} is not supported.{only}"
