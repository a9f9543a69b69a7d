"""The form that an answer must have: OpenAI's `response_format`, and vLLM's `structured_outputs`.

Sizes and shapes are checked here. Whether a schema or an expression can be held to is the engine's to say,
which compiles it; `AnswerForm.param` is what its error names.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

import orjson
from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from penstock.schemas.reading import Strict, wrong_at

MAX_FORM = 64 << 10  # bytes: a schema, written as JSON; an expression; all choices together, as JSON
MAX_CHOICES = 1_024


@dataclass(frozen=True, slots=True)
class AnswerForm:
    """A form as text: a JSON Schema in compact JSON, a regular expression, or a JSON list of the choices."""

    kind: Literal["json_object", "json_schema", "regex", "choice"]
    text: str  # empty for any JSON object
    param: str  # of the request, that asks for it


def _small(value: object) -> object:
    _text(value)
    return value


def _text(value: object) -> str:
    """The value as compact JSON, its keys in their order. Raises PydanticCustomError."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:
        raise wrong_at("", "is nested too deeply") from None
    if len(text) > MAX_FORM:
        raise wrong_at("", f"must be at most {MAX_FORM:,} bytes long, written as JSON; it has {len(text):,}")
    return text.decode()


Schema = Annotated[dict[str, Any], BeforeValidator(_small)]
Answers = Annotated[
    list[Annotated[str, StringConstraints(min_length=1)]],
    Field(min_length=1, max_length=MAX_CHOICES),
    BeforeValidator(_small),
]


class JsonSchema(Strict):
    """A schema for the answer. It is always held to, whatever `strict` says; the other two have no effect."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    description: Annotated[str, StringConstraints(max_length=4_096)] | None = None
    form: Schema = Field(alias="schema")
    strict: bool | None = None


class ResponseFormat(Strict):
    """What `response_format` holds."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.type == "json_schema" and self.json_schema is None:
            raise wrong_at(".json_schema", "field required", "missing")
        if self.type != "json_schema" and self.json_schema is not None:
            raise wrong_at(".json_schema", "is only allowed when 'type' is 'json_schema'")
        return self

    @property
    def form(self) -> AnswerForm | None:
        """The form it asks for; None for plain text."""
        if self.json_schema is not None:
            return AnswerForm("json_schema", _text(self.json_schema.form), "response_format.json_schema.schema")
        return AnswerForm("json_object", "", "response_format") if self.type == "json_object" else None


class StructuredOutputs(Strict):
    """What `structured_outputs` holds: one of the three."""

    regex: Annotated[str, StringConstraints(min_length=1), BeforeValidator(_small)] | None = None
    choice: Answers | None = None
    json_: Schema | None = Field(default=None, alias="json")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if sum(value is not None for value in (self.regex, self.choice, self.json_)) != 1:
            raise wrong_at("", "must have exactly one of 'regex', 'choice' and 'json'")
        return self

    @property
    def form(self) -> AnswerForm:
        """The form it asks for."""
        if self.regex is not None:
            return AnswerForm("regex", self.regex, "structured_outputs.regex")
        if self.choice is not None:
            return AnswerForm("choice", _text(self.choice), "structured_outputs.choice")
        return AnswerForm("json_schema", _text(self.json_), "structured_outputs.json")
