"""A GrammarSpec to the source that llguidance compiles, or the reason why not.

Promises that every spec is bounded in length, depth and number before anything is built of it. JSON has no
white space between its parts, as OpenAI's strict mode writes it: a model that may write blanks may write them
for ever. What llguidance itself does not support is found by whoever compiles the source.
"""

import json
from typing import Any, NoReturn

from llguidance import LLMatcher

from functions.gpu.engine.protocol import GrammarKind, GrammarSpec, InvalidGrammar

MOST_BYTES = 64 * 1024  # of any spec
MOST_REGEX_BYTES = 8 * 1024
MOST_DEPTH = 64  # of lists and objects in a schema
MOST_OPTIONS = 1024  # to choose from
# Stronger than the schema's own "x-guidance".
STRICT = {"whitespace_flexible": False, "lenient": False, "coerce_one_of": False}


def write(spec: GrammarSpec) -> str:
    """The source of a grammar. Raises InvalidGrammar."""
    try:
        size = len(spec.text.encode())
    except UnicodeEncodeError:
        raise InvalidGrammar("the grammar has half a surrogate pair, which is no Unicode text") from None
    if size > MOST_BYTES:
        raise InvalidGrammar(f"the grammar has {size} bytes, of {MOST_BYTES} that it may have")
    if spec.kind is GrammarKind.JSON_OBJECT:
        return _from_schema({"type": "object"})
    if spec.kind is GrammarKind.JSON_SCHEMA:
        return _from_schema(_read_schema(spec.text))
    if spec.kind is GrammarKind.REGEX:
        return _from_regex(spec.text, size)
    return str(LLMatcher.grammar_from_regex("|".join(map(_literally, _read_choices(spec.text)))))


def _from_schema(schema: dict[str, Any]) -> str:
    try:
        return str(LLMatcher.grammar_from_json_schema(json.dumps(schema, allow_nan=False), overrides=STRICT))
    except ValueError as error:  # a number or a string that Python takes and JSON does not
        raise InvalidGrammar(f"the JSON schema is not JSON: {error}") from None


def _read_schema(text: str) -> dict[str, Any]:
    schema = _read_json(text, "the JSON schema")
    if not isinstance(schema, dict):
        raise InvalidGrammar("the JSON schema is not an object")
    if "x-guidance" in schema:
        raise InvalidGrammar('the JSON schema has the keyword "x-guidance", which is not supported')
    return schema


def _from_regex(regex: str, size: int) -> str:
    if not regex:
        raise InvalidGrammar("the regular expression is empty")
    if size > MOST_REGEX_BYTES:
        raise InvalidGrammar(f"the regular expression has {size} bytes, of {MOST_REGEX_BYTES} that it may have")
    return str(LLMatcher.grammar_from_regex(regex))


def _read_choices(text: str) -> list[str]:
    choices = _read_json(text, "the list of choices")
    if not isinstance(choices, list) or not all(isinstance(choice, str) for choice in choices):
        raise InvalidGrammar("the choices are not a list of strings")
    if not 1 <= len(choices) <= MOST_OPTIONS:
        raise InvalidGrammar(f"there are {len(choices)} choices, not between 1 and {MOST_OPTIONS}")
    if "" in choices:
        raise InvalidGrammar("a choice is empty")
    if any("\ud800" <= letter <= "\udfff" for choice in choices for letter in choice):
        raise InvalidGrammar("a choice has half a surrogate pair, which is no Unicode text")
    return choices


def _literally(text: str) -> str:
    """A regular expression for this text alone."""
    return "".join(letter if letter.isascii() and letter.isalnum() else f"\\x{{{ord(letter):x}}}" for letter in text)


def _read_json(text: str, name: str) -> Any:
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise InvalidGrammar(f"{name} is nested deeper than {MOST_DEPTH} levels") from None
    except ValueError as error:
        raise InvalidGrammar(f"{name} is not JSON: {error}") from None
    if _depth(value) > MOST_DEPTH:
        raise InvalidGrammar(f"{name} is nested deeper than {MOST_DEPTH} levels")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")


def _depth(value: Any) -> int:
    """How many lists and objects are inside one another, at most; without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        node, depth = waiting.pop()
        if isinstance(node, dict | list):
            deepest = max(deepest, depth)
            parts = node.values() if isinstance(node, dict) else node
            waiting.extend((part, depth + 1) for part in parts)
    return deepest
