"""OpenAI's wire format, as far as Penstock speaks it.

Source of the shapes: OpenAI's API reference for chat completions and models, as its Python client 3.54
types them. docs/compatibility.md lists every parameter.
"""

from penstock.schemas.chat import ChatRequest, Message, StreamOptions, read_chat_request
from penstock.schemas.completion import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChunkChoice,
    CompletionUsage,
    ResponseMessage,
)
from penstock.schemas.model import Model, ModelList
from penstock.schemas.report import UsageReport

__all__ = [
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChoiceDelta",
    "ChunkChoice",
    "CompletionUsage",
    "Message",
    "Model",
    "ModelList",
    "ResponseMessage",
    "StreamOptions",
    "UsageReport",
    "read_chat_request",
]
