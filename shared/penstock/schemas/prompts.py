"""Prompts that are no conversation: one or several, each a text or token ids, as OpenAI takes them."""

from collections.abc import Iterable
from typing import Any

from pydantic import BeforeValidator, WithJsonSchema

from penstock.admission import Demand
from penstock.schemas.reading import whole, wrong_at

Prompt = str | tuple[int, ...]

MAX_TOKEN_ID = 2**31 - 1  # which ids a model has, only its tokenizer knows
MAX_TOKENS = 10_000_000  # of one prompt; no context is longer

_FORMS = "must be a string, a list of strings, a list of token ids, or a list of such lists"


def prompts(value: object, most: int, *, empty: bool) -> tuple[Prompt, ...]:
    """The prompts in `value`, at most so many; `empty` says whether one may be an empty string.

    Raises PydanticCustomError, which names the place of a wrong one.
    """
    if isinstance(value, str):
        return (_text(value, "", empty=empty),)
    if not isinstance(value, list):
        raise wrong_at("", _FORMS, "invalid_type")
    if not value:
        raise wrong_at("", "must not be empty")
    if not isinstance(value[0], str | list):
        return (token_ids(value, ""),)
    if len(value) > most:
        raise wrong_at("", f"must have at most {most:,} entries")
    return tuple(_one(one, type(value[0]), f"[{index}]", empty=empty) for index, one in enumerate(value))


def _one(one: object, kind: type, place: str, *, empty: bool) -> Prompt:
    if not isinstance(one, kind):
        raise wrong_at(place, f"{_FORMS}, and not of both", "invalid_type")
    return _text(one, place, empty=empty) if isinstance(one, str) else token_ids(one, place)


def _text(text: str, place: str, *, empty: bool) -> str:
    if not text and not empty:
        raise wrong_at(place, "must not be empty")
    return text


def token_ids(value: object, place: str = "") -> tuple[int, ...]:
    """The token ids in a list that has some."""
    if not isinstance(value, list) or not 1 <= len(value) <= MAX_TOKENS:
        raise wrong_at(place, f"must be a list of 1 to {MAX_TOKENS:,} token ids")
    for index, number in enumerate(value):
        if type(number) is not int and type(whole(number)) is not int:
            raise wrong_at(f"{place}[{index}]", "must be a token id, a whole number", "invalid_type")
        if not 0 <= number <= MAX_TOKEN_ID:
            raise wrong_at(f"{place}[{index}]", f"must be a token id from 0 to {MAX_TOKEN_ID}")
    return tuple(map(int, value))


def reading(most: int, *, empty: bool) -> BeforeValidator:
    """How a field of prompts is read."""
    return BeforeValidator(lambda value: prompts(value, most, empty=empty))


def described(most: int, *, empty: bool) -> WithJsonSchema:
    """What its JSON Schema is."""
    text: dict[str, Any] = {"type": "string"} if empty else {"type": "string", "minLength": 1}
    ids = {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0, "maximum": MAX_TOKEN_ID}}
    several = [{"type": "array", "minItems": 1, "maxItems": most, "items": one} for one in (text, ids)]
    return WithJsonSchema({"anyOf": [text, ids, *several]})


def demands_of(prompts: Iterable[Prompt], max_tokens: int, choices: int = 1) -> tuple[Demand, ...]:
    """What is asked of each prompt: of token ids the number is known, of a text its bytes."""
    return tuple(
        Demand(len(prompt.encode()), 0, max_tokens, choices)
        if isinstance(prompt, str)
        else Demand(0, 0, max_tokens, choices, prompt_tokens=len(prompt))
        for prompt in prompts
    )
