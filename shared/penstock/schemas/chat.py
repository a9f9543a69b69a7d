"""A chat completion's request: its model, and how it is read from a body.

Reading is strict: JSON types are not converted, unknown names are refused, and every error names the
parameter as OpenAI does (`messages[1].content`). A message's text parts are joined into one string here,
so that nothing after this knows of parts.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from penstock.admission import Demand
from penstock.schemas.form import AnswerForm, ResponseFormat
from penstock.schemas.parameters import CHAT
from penstock.schemas.reading import Strict, json_object, read, whole, wrong_at
from penstock.schemas.sampling import Label, Logprobs, Sampled

MAX_MESSAGES = 4_096
MAX_PARTS = 1_024

_TEXT_PART = {
    "type": "object",
    "properties": {"type": {"const": "text"}, "text": {"type": "string"}},
    "required": ["type", "text"],
    "additionalProperties": False,
}


def _joined(content: object) -> object:
    """Content as one string: itself, or its text parts joined by a line break."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise wrong_at("", "must be a string or a list of text parts", "invalid_type")
    if not 1 <= len(content) <= MAX_PARTS:
        raise wrong_at("", f"must have between 1 and {MAX_PARTS} parts")
    return "\n".join(_text_of(index, part) for index, part in enumerate(content))


def _text_of(index: int, part: object) -> str:
    if not isinstance(part, dict):
        raise wrong_at(f"[{index}]", "must be an object", "invalid_type")
    if part.get("type") != "text":
        raise wrong_at(f"[{index}].type", "only parts of type 'text' are supported", "unsupported_parameter")
    if part.keys() != {"type", "text"}:
        raise wrong_at(f"[{index}]", "a text part has 'type' and 'text', and nothing else")
    if not isinstance(part["text"], str):
        raise wrong_at(f"[{index}].text", "must be a string", "invalid_type")
    return part["text"]


def _known_role(role: object) -> object:
    if role in ("tool", "function"):
        raise wrong_at("", f"messages of the role {role!r} are not supported", "unsupported_parameter")
    return role


def _nothing(value: object) -> None:
    """Fields of an answer that is sent back as history: accepted where they hold nothing."""
    if value is not None and value != []:
        raise wrong_at("", "is not supported", "unsupported_parameter")


Content = Annotated[
    str,
    BeforeValidator(_joined),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": _TEXT_PART, "minItems": 1, "maxItems": MAX_PARTS},
            ]
        }
    ),
]
Nothing = Annotated[None, BeforeValidator(_nothing), WithJsonSchema({"type": "null"})]


class Message(Strict):
    """One message. `name` is accepted without effect; the rest belongs to answers sent back as history."""

    role: Annotated[Literal["system", "developer", "user", "assistant"], BeforeValidator(_known_role)]
    content: Content
    name: Label | None = None
    refusal: Nothing = None
    annotations: Nothing = None
    audio: Nothing = None
    function_call: Nothing = None
    tool_calls: Nothing = None


Tokens = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole)]


class ChatRequest(Sampled):
    """The body of `POST /v1/chat/completions`: the parameters that are honoured, and the no-ops."""

    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    logprobs: bool | None = None
    top_logprobs: Logprobs | None = None
    response_format: ResponseFormat | None = None
    # Accepted without effect.
    safety_identifier: Label | None = None
    prompt_cache_key: Label | None = None
    prompt_cache_retention: Literal["in_memory", "24h"] | None = None
    parallel_tool_calls: bool | None = None
    metadata: Annotated[dict[Label, Label], Field(max_length=16)] | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        both = self.max_tokens is not None and self.max_completion_tokens is not None
        if both and self.max_tokens != self.max_completion_tokens:
            raise wrong_at("max_tokens", "differs from 'max_completion_tokens'; send one of them")
        if self.top_logprobs and not self.logprobs:
            raise wrong_at("top_logprobs", "is only allowed when 'logprobs' is true")
        if self.structured_outputs is not None and self.response_format and self.response_format.form:
            raise wrong_at("structured_outputs", "is only allowed when 'response_format' asks for text")
        return self

    @property
    def limit(self) -> int | None:
        """The most tokens a choice may have; None is until the context is full."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def limit_param(self) -> str:
        """The name under which the caller sent `limit`."""
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    @property
    def grammar(self) -> AnswerForm | None:
        """The form that the answer must have; None: any."""
        asked = self.response_format.form if self.response_format else None
        return asked or super().grammar

    @property
    def prompt_bytes(self) -> int:
        """The UTF-8 bytes of all messages' text."""
        return sum(len(message.content.encode()) for message in self.messages)

    def demands(self) -> tuple[Demand, ...]:
        """What is asked: a conversation is one prompt."""
        return (Demand(self.prompt_bytes, len(self.messages), self.limit, self.choices),)


def read_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`. Raises BadRequest (or UnsupportedParameter) that names what is wrong."""
    return chat_request(json_object(body))


def chat_request(data: Mapping[str, Any]) -> ChatRequest:
    """The same of a body that was parsed already."""
    return read(ChatRequest, CHAT.known(data))
