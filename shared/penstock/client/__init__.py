"""The client of Penstock's API: `Penstock` blocks, `AsyncPenstock` is for asyncio. docs/sdk.md shows both."""

from penstock.client.answers import ChatCompletion, Completion, EmbeddingList, Model, ModelList, UsageReport
from penstock.client.call import Reply
from penstock.client.clients import AsyncPenstock, Penstock
from penstock.client.errors import (
    BadRequest,
    BodyTooLarge,
    BudgetExceeded,
    Conflict,
    ConnectionFailed,
    DeadlineExceeded,
    Forbidden,
    Misconfigured,
    NotAvailable,
    NotFound,
    PenstockError,
    RateLimited,
    ServerError,
    StatusError,
    TimedOut,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
    Unprocessable,
)
from penstock.client.stream import AsyncStream, Stream
from penstock.schemas import ChatCompletionChunk

__all__ = [
    "AsyncPenstock",
    "AsyncStream",
    "BadRequest",
    "BodyTooLarge",
    "BudgetExceeded",
    "ChatCompletion",
    "ChatCompletionChunk",
    "Completion",
    "Conflict",
    "ConnectionFailed",
    "DeadlineExceeded",
    "EmbeddingList",
    "Forbidden",
    "Misconfigured",
    "Model",
    "ModelList",
    "NotAvailable",
    "NotFound",
    "Penstock",
    "PenstockError",
    "RateLimited",
    "Reply",
    "ServerError",
    "StatusError",
    "Stream",
    "TimedOut",
    "Unauthenticated",
    "Unavailable",
    "UnexpectedAnswer",
    "Unprocessable",
    "UsageReport",
]
