"""What every request that generates has: how to pick tokens, when to stop, and how the answer is sent.

OpenAI's names and bounds, and some of vLLM's beside them, which OpenAI's clients send as `extra_body`:
`top_k`, `min_p`, `repetition_penalty`, `min_tokens`, `ignore_eos`, `stop_token_ids`, `structured_outputs`.
"""

from math import isfinite
from typing import Annotated, Any, Self

from pydantic import BeforeValidator, Field, StringConstraints, WithJsonSchema, model_validator

from penstock.errors import BadRequest
from penstock.models import ServedModel
from penstock.schemas.form import AnswerForm, StructuredOutputs
from penstock.schemas.prompts import MAX_TOKEN_ID, token_ids
from penstock.schemas.reading import Strict, whole, wrong_at

MAX_STOPS = 4
MAX_STOP_LENGTH = 256  # characters
MAX_STOP_TOKENS = 64
MAX_CHOICES = 8  # answers to one prompt
MAX_LOGPROBS = 20  # alternatives to one token
MAX_BIASES = 1_024


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


def _biases(biases: object) -> object:
    """Biases by token id; in JSON the names of an object are strings."""
    if biases is None:
        return {}
    if not isinstance(biases, dict):
        raise wrong_at("", "must be an object of token ids and biases", "invalid_type")
    if len(biases) > MAX_BIASES:
        raise wrong_at("", f"must have at most {MAX_BIASES:,} entries")
    return {_token_id(name): _bias(name, bias) for name, bias in biases.items()}


def _token_id(name: str) -> int:
    digits = name.isascii() and name.isdecimal() and len(name) <= len(str(MAX_TOKEN_ID))
    # Of two spellings of one number the second would replace the first.
    if not digits or str(int(name)) != name or int(name) > MAX_TOKEN_ID:
        raise wrong_at(f".{name[:64]}", "is not a token id: its name must be a number such as '50256'")
    return int(name)


def _bias(name: str, bias: object) -> float:
    if isinstance(bias, bool) or not isinstance(bias, int | float):
        raise wrong_at(f".{name}", "must be a number", "invalid_type")
    if not (isfinite(bias) and -100 <= bias <= 100):
        raise wrong_at(f".{name}", "must be from -100 to 100")
    return float(bias)


def _stop_tokens(tokens: object) -> object:
    if tokens is None or tokens == []:
        return ()
    if not isinstance(tokens, list):
        raise wrong_at("", "must be a list of token ids", "invalid_type")
    if len(tokens) > MAX_STOP_TOKENS:
        raise wrong_at("", f"must have at most {MAX_STOP_TOKENS} token ids")
    return token_ids(tokens)


def _all(top_k: object) -> object:
    """-1 is vLLM's word for all tokens; so is 0, which is ours."""
    return 0 if whole(top_k) == -1 else whole(top_k)


def _or_null(schema: dict[str, Any]) -> WithJsonSchema:
    return WithJsonSchema({"anyOf": [schema, {"type": "null"}]})


_STOP = {"type": "string", "minLength": 1, "maxLength": MAX_STOP_LENGTH}
_TOKEN_ID = {"type": "integer", "minimum": 0, "maximum": MAX_TOKEN_ID}
Stops = Annotated[
    tuple[str, ...],
    BeforeValidator(_stops),
    WithJsonSchema({"anyOf": [_STOP, {"type": "array", "items": _STOP, "maxItems": MAX_STOPS}, {"type": "null"}]}),
]
Biases = Annotated[
    dict[int, float],
    BeforeValidator(_biases),
    _or_null(
        {
            "type": "object",
            "propertyNames": {"pattern": "^(0|[1-9][0-9]{0,8})$"},
            "additionalProperties": {"type": "number", "minimum": -100, "maximum": 100},
            "maxProperties": MAX_BIASES,
        }
    ),
]
StopTokens = Annotated[
    tuple[int, ...],
    BeforeValidator(_stop_tokens),
    _or_null({"type": "array", "items": _TOKEN_ID, "maxItems": MAX_STOP_TOKENS}),
]
Count = Annotated[int, Field(ge=0, le=2**31 - 1), BeforeValidator(whole)]
Choices = Annotated[int, Field(ge=1, le=MAX_CHOICES), BeforeValidator(whole)]
Logprobs = Annotated[int, Field(ge=0, le=MAX_LOGPROBS), BeforeValidator(whole)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Seed = Annotated[int, Field(ge=-(2**63), le=2**63 - 1), BeforeValidator(whole)]
TopK = Annotated[
    int,
    Field(ge=0, le=2**31 - 1),
    BeforeValidator(_all),
    WithJsonSchema({"type": "integer", "minimum": -1, "maximum": 2**31 - 1}),
]
Label = Annotated[str, StringConstraints(max_length=512)]
ModelName = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Sampled(Strict):
    """The parameters that generating requests share. Each has the name it has on the wire."""

    model: ModelName
    n: Choices | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: Biases = Field(default_factory=dict)
    seed: Seed | None = None
    stop: Stops = ()
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # Extensions.
    top_k: TopK | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=2)] | None = None
    min_tokens: Count | None = None
    ignore_eos: bool | None = None
    stop_token_ids: StopTokens = ()
    structured_outputs: StructuredOutputs | None = None
    # Accepted without effect.
    user: Label | None = None

    @model_validator(mode="after")
    def _stream_and_limits(self) -> Self:
        if self.stream_options is not None and not self.stream:
            raise wrong_at("stream_options", "is only allowed when 'stream' is true")
        if self.min_tokens is not None and self.limit is not None and self.min_tokens > self.limit:
            raise wrong_at("min_tokens", f"is more than {self.limit_param!r}, {self.limit}")
        return self

    @property
    def limit(self) -> int | None:
        """The most tokens a choice may have; None is until the context is full."""
        raise NotImplementedError

    @property
    def limit_param(self) -> str:
        """The name under which the caller sends `limit`."""
        return "max_tokens"

    @property
    def choices(self) -> int:
        """Answers to each prompt."""
        return self.n or 1

    @property
    def grammar(self) -> AnswerForm | None:
        """The form that the answer must have; None: any."""
        return None if self.structured_outputs is None else self.structured_outputs.form

    @property
    def include_usage(self) -> bool:
        """Whether a stream ends with a chunk that holds the usage."""
        return bool(self.stream_options and self.stream_options.include_usage)

    def require_fit(self, model: ServedModel) -> None:
        """Raises BadRequest where the model could not do this, whatever the prompt's tokens are."""
        for param, tokens in ((self.limit_param, self.limit), ("min_tokens", self.min_tokens)):
            if tokens is not None and tokens >= model.context_length:
                raise BadRequest(
                    f"{param}: {tokens} tokens leave no room for a prompt; {model.name!r} has a context "
                    f"of {model.context_length} tokens.",
                    param=param,
                    code="context_length_exceeded",
                )
