"""Grammars: whatever a model without sense writes under one has its form, and what cannot be one is refused."""

import json
import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from functions.gpu.engine import grammar as grammar_module
from functions.gpu.engine.grammar_source import MOST_DEPTH, MOST_OPTIONS
from functions.gpu.engine.protocol import EngineError, GrammarKind, GrammarSpec, InvalidGrammar
from tests.tiny_model import make_tokenizer
from tests.unit.gpu.engine.grammar_walk import Writer

DEMO_MODEL = Path(__file__).parents[4] / "models" / "demo"
CLOSED = {"additionalProperties": False}
TREE = {
    "$defs": {
        "tree": {
            "type": "object",
            "properties": {"value": {"enum": [1, 2]}, "left": {"anyOf": [{"$ref": "#/$defs/tree"}, {"type": "null"}]}},
            "required": ["value", "left"],
            **CLOSED,
        }
    },
    "$ref": "#/$defs/tree",
}
SCHEMAS: dict[str, dict[str, Any]] = {
    "flat object": {
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 20}, "age": {"type": "integer", "minimum": 0}},
        "required": ["name", "age"],
        **CLOSED,
    },
    "optional properties": {"type": "object", "properties": {"a": {"const": 1}, "b": {"const": 2}}, **CLOSED},
    "nested objects": {
        "type": "object",
        "properties": {"at": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"], **CLOSED}},
        "required": ["at"],
        **CLOSED,
    },
    "more properties": {"type": "object", "additionalProperties": {"type": "boolean"}},
    "pattern properties": {"type": "object", "patternProperties": {"^k[0-9]$": {"type": "null"}}, **CLOSED},
    "enum of strings": {"enum": ["red", "green", "greenish", 'a "quoted" one', "Grün"]},
    "enum of many types": {"enum": ["one", 1, 1.5, None, True, {"b": [1, {}]}]},
    "const": {"const": {"kind": "point", "at": [0, 0]}},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "array with bounds": {"type": "array", "items": {"enum": ["a", "b"]}, "minItems": 2, "maxItems": 4},
    "tuple": {"type": "array", "prefixItems": [{"type": "boolean"}, {"type": "null"}], "items": False, "minItems": 2},
    "integers in a range": {"type": "integer", "minimum": -3, "exclusiveMaximum": 117},
    "numbers in a range": {"type": "number", "minimum": -0.5, "maximum": 12.75},
    "multiples": {"type": "integer", "multipleOf": 5, "minimum": 10, "maximum": 1000},
    "string with pattern": {"type": "string", "pattern": "^[A-Z]{2}-[0-9]{3,5}$"},
    "string with lengths": {"type": "string", "minLength": 3, "maxLength": 5},
    "pattern and length": {"type": "string", "pattern": "^(ab|c)*$", "maxLength": 8},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
    "ipv4": {"type": "string", "format": "ipv4"},
    "anyOf": {"anyOf": [{"type": "integer", "maximum": 9, "minimum": 0}, {"type": "string", "maxLength": 3}]},
    "oneOf apart": {"oneOf": [{"type": "boolean"}, {"type": "null"}]},
    "allOf": {"allOf": [{"type": "integer", "minimum": 3}, {"maximum": 12}]},
    "nullable": {"type": ["string", "null"], "maxLength": 6},
    "recursion": TREE,
    "anything": {"title": "Anything", "description": "annotations mean nothing"},
}
REGEXES = [
    "[0-9]{3}-[0-9]{4}",
    "(yes|no|maybe)( indeed)?",
    "a?b*c+",
    "(ä|ö|ü){2,3}",
    r"x/y\.z",
    r"[^\n]{1,10}\n",
    "^a$",
    "|b",
]

# Each compiles, or is refused; left alone, some take minutes and gigabytes, or the stack.
HOSTILE: dict[str, tuple[GrammarKind, str]] = {
    "long enum": (GrammarKind.JSON_SCHEMA, json.dumps({"enum": [f"{n} {n * n}" for n in range(3000)]})),
    "deep": (GrammarKind.JSON_SCHEMA, '{"items":' * 5000 + "{}" + "}" * 5000),
    "wide": (GrammarKind.JSON_SCHEMA, json.dumps({"properties": {f"p{n}": {} for n in range(3000)}})),
    "intersections": (
        GrammarKind.JSON_SCHEMA,
        json.dumps({"allOf": [{"type": "string", "pattern": f"(a|b)*a(a|b){{{n}}}$"} for n in range(40)]}),
    ),
    "large multiples": (GrammarKind.JSON_SCHEMA, json.dumps({"type": "integer", "multipleOf": 1234567})),
    "many multiples": (
        GrammarKind.JSON_SCHEMA,
        json.dumps({"allOf": [{"type": "integer", "multipleOf": n} for n in (2, 3, 5, 7, 11, 13, 17, 19, 23)]}),
    ),
    "references upon references": (
        GrammarKind.JSON_SCHEMA,
        json.dumps(
            {"$ref": "#/$defs/d40", "$defs": {"d0": {"type": "string"}}
             | {f"d{n + 1}": {"allOf": [{"$ref": f"#/$defs/d{n}"}] * 2} for n in range(40)}}
        ),
    ),
    "products": (
        GrammarKind.JSON_SCHEMA,
        json.dumps({"allOf": [{"anyOf": [{"properties": {f"{n}{m}": {}}} for m in range(4)]} for n in range(12)]}),
    ),
    "overlapping patterns": (
        GrammarKind.JSON_SCHEMA,
        json.dumps({"patternProperties": {f"(a|b)*a(a|b){{{n}}}c$": {} for n in range(40)}}),
    ),
    "ambiguous": (
        GrammarKind.JSON_SCHEMA,
        json.dumps({"anyOf": [{"items": {"anyOf": [{"items": {"$ref": "#"}, "type": "array"}] * 30}}] * 30}),
    ),
    "long strings": (GrammarKind.JSON_SCHEMA, json.dumps({"type": "string", "minLength": 10**6, "maxLength": 10**9})),
    "long arrays": (GrammarKind.JSON_SCHEMA, json.dumps({"items": {"minItems": 10**6}, "minItems": 10**6})),
    "nested quantifiers": (GrammarKind.REGEX, "(a{1,1000}){1,1000}"),
    "quantified classes": (GrammarKind.REGEX, r"((\w|\s){1,1000}x){1,1000}"),
    "optional letters": (GrammarKind.REGEX, "a?" * 1000 + "a" * 1000),
    "exponential": (GrammarKind.REGEX, "(a|b)*a(a|b){500}"),
    "parentheses": (GrammarKind.REGEX, "(" * 4000 + ")" * 4000),
    "many choices": (GrammarKind.CHOICE, json.dumps([f"{'a' * (n % 40)}-{n}" for n in range(MOST_OPTIONS)])),
}  # fmt: skip


@pytest.fixture(scope="module", params=["tiny", "demo"])
def writer(request: pytest.FixtureRequest) -> Iterator[Writer]:
    writer = Writer(make_tokenizer() if request.param == "tiny" else AutoTokenizer.from_pretrained(DEMO_MODEL))
    yield writer
    writer.grammars.close()


@pytest.fixture(scope="module")
def tiny_writer() -> Iterator[Writer]:
    writer = Writer(make_tokenizer())
    yield writer
    writer.grammars.close()


def check(schema: Any, answer: str) -> None:
    """An answer is compact JSON of a schema."""
    value = json.loads(answer)
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(value)


@pytest.mark.parametrize("name", SCHEMAS)
def test_what_is_written_under_a_schema_is_json_of_it(writer: Writer, name: str) -> None:
    compiled = writer.compile(GrammarKind.JSON_SCHEMA, json.dumps(SCHEMAS[name]))
    for seed in range(8):
        check(SCHEMAS[name], writer.write(compiled, seed))


def test_json_has_no_white_space_between_its_parts(writer: Writer) -> None:
    schema = {"type": "object", "properties": {"a": {"const": [1, 2]}, "b": {"const": {}}}, "required": ["a", "b"]}
    compiled = writer.compile(GrammarKind.JSON_SCHEMA, json.dumps(schema | CLOSED))
    assert writer.write(compiled, 0) == '{"a":[1,2],"b":{}}'


def test_json_object_is_any_object(writer: Writer) -> None:
    compiled = writer.compile(GrammarKind.JSON_OBJECT)
    objects = [json.loads(writer.write(compiled, seed)) for seed in range(10)]
    assert all(isinstance(value, dict) for value in objects)
    assert any(objects)


@pytest.mark.parametrize("regex", REGEXES)
def test_what_is_written_under_a_regular_expression_matches_it(writer: Writer, regex: str) -> None:
    compiled = writer.compile(GrammarKind.REGEX, regex)
    for seed in range(8):
        assert re.fullmatch(regex, writer.write(compiled, seed))


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=6), st.integers(0, 1000))
@example(["a", "ab", "abc"], 1)
@example(["a\n", " a/", "\\", "#", "-", "\x00", "é", "é́", "😀", ".*", '"', "a{2}"], 2)
def test_one_of_the_choices_is_written(tiny_writer: Writer, choices: list[str], seed: int) -> None:
    compiled = tiny_writer.compile(GrammarKind.CHOICE, json.dumps(choices))
    assert tiny_writer.write(compiled, seed) in choices


def test_each_choice_can_be_written_where_one_begins_another(writer: Writer) -> None:
    compiled = writer.compile(GrammarKind.CHOICE, '["go", "gone", "g"]')
    assert {writer.write(compiled, seed) for seed in range(60)} == {"go", "gone", "g"}


def schemas() -> st.SearchStrategy[dict[str, Any]]:
    """Small schemas of a few types, inside one another."""
    leaves: st.SearchStrategy[dict[str, Any]] = st.one_of(
        st.sampled_from([{"type": "boolean"}, {"type": "null"}, {"type": "string", "pattern": "^[a-c]{0,4}$"}]),
        st.tuples(st.integers(-50, 50), st.integers(0, 50)).map(
            lambda pair: {"type": "integer", "minimum": pair[0], "maximum": pair[0] + pair[1]}
        ),
        st.lists(st.text(max_size=5) | st.integers() | st.none(), min_size=1, max_size=4).map(
            lambda values: {"enum": values}
        ),
        st.integers(0, 6).map(lambda length: {"type": "string", "maxLength": length}),
    )
    return st.recursive(leaves, _larger, max_leaves=5)


def _larger(parts: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    properties = st.dictionaries(st.text(max_size=4), parts, max_size=3)
    objects = st.tuples(properties, st.integers(0, 3)).map(
        lambda pair: {"type": "object", "properties": pair[0], "required": [*pair[0]][: pair[1]], **CLOSED}
    )
    arrays = parts.map(lambda items: {"type": "array", "items": items, "maxItems": 3})
    return objects | arrays | st.lists(parts, min_size=1, max_size=3).map(lambda options: {"anyOf": options})


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(schemas(), st.integers(0, 1000))
def test_what_is_written_under_any_small_schema_is_json_of_it(
    tiny_writer: Writer, schema: dict[str, Any], seed: int
) -> None:
    check(schema, tiny_writer.write(tiny_writer.compile(GrammarKind.JSON_SCHEMA, json.dumps(schema)), seed))


@pytest.mark.parametrize("keyword", ["not", "if", "contains", "uniqueItems", "propertyNames", "unevaluatedProperties"])
def test_an_unsupported_keyword_is_named(tiny_writer: Writer, keyword: str) -> None:
    schema = {"type": "object", "properties": {"a": {keyword: {}}}}
    with pytest.raises(InvalidGrammar, match=f'unsupported keywords: ."{keyword}"'):
        tiny_writer.compile(GrammarKind.JSON_SCHEMA, json.dumps(schema))


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ("[]", "not an object"),
        ("{", "not JSON"),
        ('{"const": NaN}', "not JSON: NaN"),
        ('{"const": 1e999}', "not JSON"),
        (r'{"const": "\ud800"}', "not JSON|surrogate"),
        ('{"type": "strin"}', "Invalid type: strin"),
        ('{"type": "string", "format": "colour"}', "Unknown format: colour"),
        ('{"type": "string", "pattern": "a("}', "unclosed group"),
        ('{"type": "integer", "minimum": 5, "maximum": 3}', "minimum .5. is greater than maximum .3."),
        ('{"$ref": "https://example.org/schema"}', "reference to another document: https://example.org/schema"),
        ('{"$ref": "file:///etc/passwd"}', "reference to another document: file:///etc/passwd"),
        ('{"$ref": "#/nowhere"}', "'/nowhere' does not exist"),
        ('{"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}', "nothing fits it"),
        ('{"x-guidance": {"lenient": true}, "not": {}}', "x-guidance"),
        ('{"a":' * (MOST_DEPTH + 1) + "1" + "}" * (MOST_DEPTH + 1), f"deeper than {MOST_DEPTH}"),
        ("[" * 100_000, "has 100000 bytes, of 65536"),
    ],
)  # fmt: skip
def test_a_schema_that_cannot_be_used_is_refused_in_one_line(tiny_writer: Writer, schema: str, reason: str) -> None:
    with pytest.raises(InvalidGrammar, match=reason) as refused:
        tiny_writer.compile(GrammarKind.JSON_SCHEMA, schema)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("kind", "text", "reason"),
    [
        (GrammarKind.REGEX, "", "is empty"),
        (GrammarKind.REGEX, "a(b", "unclosed group"),
        (GrammarKind.REGEX, "(?=a)b", "look-around"),
        (GrammarKind.REGEX, r"[^\s\S]", "nothing fits it"),
        (GrammarKind.REGEX, "a" * 9000, "has 9000 bytes, of 8192"),
        (GrammarKind.REGEX, "\ud800", "surrogate"),
        (GrammarKind.CHOICE, "red", "not JSON"),
        (GrammarKind.CHOICE, '{"red": 1}', "not a list of strings"),
        (GrammarKind.CHOICE, "[1]", "not a list of strings"),
        (GrammarKind.CHOICE, "[]", "0 choices"),
        (GrammarKind.CHOICE, '["a", ""]', "a choice is empty"),
        (GrammarKind.CHOICE, json.dumps(["a"] * 1025), "1025 choices, not between 1 and 1024"),
        (GrammarKind.CHOICE, '["\\ud800"]', "surrogate"),
    ],
)
def test_a_form_that_cannot_be_used_is_refused(tiny_writer: Writer, kind: GrammarKind, text: str, reason: str) -> None:
    with pytest.raises(InvalidGrammar, match=reason):
        tiny_writer.compile(kind, text)


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_grammar_stops_no_other_thread_and_comes_to_an_end(tiny_writer: Writer, name: str) -> None:
    """It is refused, or compiled and written by; meanwhile another thread counts."""
    kind, text = HOSTILE[name]
    ended, turns = threading.Event(), 0

    def attack() -> None:
        try:
            compiled = tiny_writer.compile(kind, text)
            matcher = compiled.matcher()
            for _ in range(10):
                tokens = tiny_writer.allowed(matcher) - tiny_writer.end_ids
                if not tokens:
                    break
                matcher.advance(min(tokens))
        except EngineError:
            pass
        finally:
            ended.set()

    attacker = threading.Thread(target=attack)
    attacker.start()
    while not ended.wait(0.001):
        turns += 1
    attacker.join()
    assert tiny_writer.write(tiny_writer.compile(GrammarKind.CHOICE, '["still here"]'), 0) == "still here"
    if name in {"intersections", "large multiples", "many multiples"}:
        assert turns >= 20  # half a second of the other process at least


@pytest.mark.parametrize("name", ["intersections", "large multiples", "many multiples"])
def test_what_takes_too_long_to_compile_is_refused(tiny_writer: Writer, name: str) -> None:
    with pytest.raises(InvalidGrammar, match="too complex"):
        tiny_writer.compile(*HOSTILE[name])


def test_the_same_spec_gives_the_same_grammar(tiny_writer: Writer) -> None:
    first = tiny_writer.compile(GrammarKind.REGEX, "[ab]+")
    assert tiny_writer.compile(GrammarKind.REGEX, "[ab]+") is first
    assert tiny_writer.compile(GrammarKind.CHOICE, '["a"]') is not first
    assert first.spec == GrammarSpec(GrammarKind.REGEX, "[ab]+")


def test_threads_that_compile_the_same_spec_get_the_same_grammar(tiny_writer: Writer) -> None:
    found = []
    threads = [
        threading.Thread(target=lambda: found.append(tiny_writer.compile(GrammarKind.REGEX, "[xyz]{4}")))
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1
    assert len(found) == 8


def test_only_the_last_grammars_are_kept(tiny_writer: Writer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grammar_module, "CACHED", 2)
    grammars = grammar_module.Grammars(make_tokenizer(), tiny_writer.size, tiny_writer.end_ids)
    specs = [GrammarSpec(GrammarKind.REGEX, letter) for letter in "abc"]
    first, second = grammars.compile(specs[0]), grammars.compile(specs[1])
    assert grammars.compile(specs[0]) is first
    grammars.compile(specs[2])
    assert grammars.compile(specs[0]) is first
    assert grammars.compile(specs[1]) is not second
    grammars.close()


def test_a_grammar_that_failed_is_compiled_anew(tiny_writer: Writer) -> None:
    first = tiny_writer.compile(GrammarKind.REGEX, "[0-3]+")
    with pytest.raises(EngineError):
        first.matcher().advance(next(iter(tiny_writer.allowed(tiny_writer.compile(GrammarKind.REGEX, "q").matcher()))))
    second = tiny_writer.compile(GrammarKind.REGEX, "[0-3]+")
    assert second is not first
    assert re.fullmatch("[0-3]+", tiny_writer.write(second, 0))


def test_a_model_without_an_end_takes_no_grammar() -> None:
    grammars = grammar_module.Grammars(make_tokenizer(), 400, frozenset())
    with pytest.raises(InvalidGrammar, match="no token that ends an answer"):
        grammars.compile(GrammarSpec(GrammarKind.JSON_OBJECT))
    grammars.close()


def test_closed_grammars_compile_no_more() -> None:
    grammars = grammar_module.Grammars(make_tokenizer(), 400, frozenset({2}))
    grammars.compile(GrammarSpec(GrammarKind.JSON_OBJECT))
    grammars.close()
    with pytest.raises(EngineError, match="closed"):
        grammars.compile(GrammarSpec(GrammarKind.REGEX, "a"))
