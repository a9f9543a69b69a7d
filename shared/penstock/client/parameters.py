"""What the methods take, by name and type: the API's parameters as `penstock.schemas` reads them.

Ranges and meanings are docs/compatibility.md's; they are checked by the API, whose error names the parameter.
The API's refused parameters are not here, for there is nothing to send with them.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Literal, Required, TypedDict

from pydantic import BaseModel

from penstock.client.call import Delivery, Timeout


class CallOptions(TypedDict, total=False):
    """How a call is made; None is the client's own way.

    `idempotency_key` is for calls that are repeated beyond this process; see docs/sdk.md for what it costs.
    """

    timeout: Timeout | None
    idempotency_key: str | None
    delivery: Delivery | None


class TextPart(TypedDict):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class MessageParameter(TypedDict, total=False):
    """One message; an answer's own message may stand in a conversation as it came."""

    role: Required[Literal["system", "developer", "user", "assistant"]]
    content: Required[str | Sequence[TextPart]]
    name: str | None
    refusal: None
    annotations: None
    audio: None
    function_call: None
    tool_calls: None


class StreamOptions(TypedDict, total=False):
    """What a stream has besides text."""

    include_usage: bool | None
    include_obfuscation: bool | None


class _Sampling(TypedDict, total=False):
    model: Required[str]
    n: int | None
    temperature: float | None
    top_p: float | None
    presence_penalty: float | None
    frequency_penalty: float | None
    logit_bias: Mapping[int, float] | Mapping[str, float] | None
    seed: int | None
    stop: str | Sequence[str] | None
    stream_options: StreamOptions | None
    top_k: int | None
    min_p: float | None
    repetition_penalty: float | None
    min_tokens: int | None
    ignore_eos: bool | None
    stop_token_ids: Sequence[int] | None
    structured_outputs: Mapping[str, Any] | None
    user: str | None


class ChatParameters(_Sampling, total=False):
    """Those of `POST /v1/chat/completions`, but for `stream`."""

    messages: Required[Sequence[MessageParameter | BaseModel]]
    max_completion_tokens: int | None
    max_tokens: int | None
    logprobs: bool | None
    top_logprobs: int | None
    response_format: Mapping[str, Any] | None
    safety_identifier: str | None
    prompt_cache_key: str | None
    prompt_cache_retention: Literal["in_memory", "24h"] | None
    parallel_tool_calls: bool | None
    metadata: Mapping[str, str] | None


class CompletionParameters(_Sampling, total=False):
    """Those of `POST /v1/completions`, but for `stream`."""

    prompt: Required[str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]]
    max_tokens: int | None
    echo: bool | None
    logprobs: int | None
    best_of: int | None


class EmbeddingParameters(TypedDict, total=False):
    """Those of `POST /v1/embeddings`."""

    model: Required[str]
    input: Required[str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]]
    encoding_format: Literal["float", "base64"] | None
    dimensions: int | None
    user: str | None


class UsageParameters(TypedDict, total=False):
    """Those of `GET /v1/usage`, but for the format."""

    since: date | str | None
    until: date | str | None
    model: str | None
    of: Literal["key", "account"] | None
    group_by: Sequence[Literal["day", "key", "model"]] | None


class ChatArguments(ChatParameters, CallOptions, total=False):
    """What `client.chat.completions.create` takes."""


class CompletionArguments(CompletionParameters, CallOptions, total=False):
    """What `client.completions.create` takes."""


class EmbeddingArguments(EmbeddingParameters, CallOptions, total=False):
    """What `client.embeddings.create` takes."""


class FilesParameters(TypedDict, total=False):
    """Those of `GET /v1/files`."""

    purpose: Literal["batch", "batch_output"] | None
    limit: int | None
    order: Literal["asc", "desc"] | None
    after: str | None


class ExpiresAfter(TypedDict):
    """When a file goes: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: int


class BatchParameters(TypedDict, total=False):
    """Those of `POST /v1/batches`."""

    input_file_id: Required[str]
    endpoint: Required[Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]]
    completion_window: Required[str]
    metadata: Mapping[str, str] | None
    output_expires_after: ExpiresAfter | None


class BatchesParameters(TypedDict, total=False):
    """Those of `GET /v1/batches`."""

    limit: int | None
    after: str | None


class BatchArguments(BatchParameters, total=False):
    """What `client.batches.create` takes."""

    timeout: Timeout | None
    idempotency_key: str | None
