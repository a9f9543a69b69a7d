"""A chat completion's request: its model, and how it is read from a body.

Reading is strict: JSON types are not converted, unknown names are refused, and every error names the
parameter as OpenAI does (`messages[1].content`). A message's text parts are joined into one string here,
so that nothing after this knows of parts.
"""

from typing import Annotated, Literal, Self

from pydantic import (
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
    model_validator,
)

from penstock.schemas.parameters import without_refused
from penstock.schemas.reading import Strict, json_object, read, whole, wrong_at

MAX_MESSAGES = 4_096
MAX_PARTS = 1_024
MAX_STOPS = 4
MAX_STOP_LENGTH = 256  # characters

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
Label = Annotated[str, StringConstraints(max_length=512)]


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


class StreamOptions(Strict):
    """`include_obfuscation` is accepted without effect: chunks are never padded."""

    include_usage: bool | None = None
    include_obfuscation: bool | None = None


def _stops(stop: object) -> object:
    stops = [stop] if isinstance(stop, str) else stop
    if stops is None:
        return ()
    if not isinstance(stops, list) or not all(isinstance(one, str) for one in stops):
        raise wrong_at("", "must be a string or a list of strings", "invalid_type")
    if len(stops) > MAX_STOPS or not all(1 <= len(one) <= MAX_STOP_LENGTH for one in stops):
        raise wrong_at("", f"at most {MAX_STOPS} strings of 1 to {MAX_STOP_LENGTH} characters")
    return tuple(stops)


_STOP = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH}
Stops = Annotated[
    tuple[str, ...],
    BeforeValidator(_stops),
    WithJsonSchema({"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": MAX_STOPS}, {"type": "null"}]}),
]


Tokens = Annotated[int, Field(ge=1, le=2**31 - 1), BeforeValidator(whole)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), BeforeValidator(whole)]


class ChatRequest(Strict):
    """The body of `POST /v1/chat/completions`: the parameters that are honoured, and the no-ops."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Tokens | None = None
    max_tokens: Tokens | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    seed: Seed | None = None
    stop: Stops = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Accepted without effect.
    user: Label | None = None
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
        if self.stream_options is not None and not self.stream:
            raise wrong_at("stream_options", "is only allowed when 'stream' is true")
        return self

    @property
    def limit(self) -> int | None:
        """The most tokens the answer may have; None is until the context is full."""
        return self.max_completion_tokens if self.max_completion_tokens is not None else self.max_tokens

    @property
    def limit_param(self) -> str:
        """The name under which the caller sent `limit`."""
        return "max_tokens" if self.max_completion_tokens is None else "max_completion_tokens"

    @property
    def prompt_bytes(self) -> int:
        """The UTF-8 bytes of all messages' text."""
        return sum(len(message.content.encode()) for message in self.messages)

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that holds the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)


def read_chat_request(body: bytes) -> ChatRequest:
    """The request in `body`. Raises BadRequest (or UnsupportedParameter) that names what is wrong."""
    return read(ChatRequest, without_refused(json_object(body)))
