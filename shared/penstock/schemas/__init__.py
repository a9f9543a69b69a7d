"""OpenAI's wire format, as far as Penstock speaks it.

Source of the shapes: OpenAI's API reference for chat completions, completions, embeddings, models, files and
batches, as its Python client 3.54 types them. docs/compatibility.md lists every parameter.
"""

from penstock.schemas.batch import Batch, BatchPage
from penstock.schemas.chat import ChatRequest, Message, chat_request, read_chat_request
from penstock.schemas.completion import (
    ChatCompletion,
    ChatCompletionChunk,
    Choice,
    ChoiceDelta,
    ChoiceLogprobs,
    ChunkChoice,
    CompletionUsage,
    ResponseMessage,
    TokenLogprob,
    TopLogprob,
)
from penstock.schemas.embedding import (
    Embedding,
    EmbeddingList,
    EmbeddingRequest,
    EmbeddingUsage,
    embedding_request,
    read_embedding_request,
)
from penstock.schemas.file import FileDeleted, FileObject, FilePage
from penstock.schemas.form import AnswerForm
from penstock.schemas.model import Model, ModelList
from penstock.schemas.report import UsageReport
from penstock.schemas.sampling import Sampled, StreamOptions
from penstock.schemas.text import CompletionRequest, completion_request, read_completion_request
from penstock.schemas.text_completion import Completion, CompletionChoice, CompletionLogprobs

__all__ = [
    "AnswerForm",
    "Batch",
    "BatchPage",
    "ChatCompletion",
    "ChatCompletionChunk",
    "ChatRequest",
    "Choice",
    "ChoiceDelta",
    "ChoiceLogprobs",
    "ChunkChoice",
    "Completion",
    "CompletionChoice",
    "CompletionLogprobs",
    "CompletionRequest",
    "CompletionUsage",
    "Embedding",
    "EmbeddingList",
    "EmbeddingRequest",
    "EmbeddingUsage",
    "FileDeleted",
    "FileObject",
    "FilePage",
    "Message",
    "Model",
    "ModelList",
    "ResponseMessage",
    "Sampled",
    "StreamOptions",
    "TokenLogprob",
    "TopLogprob",
    "UsageReport",
    "chat_request",
    "completion_request",
    "embedding_request",
    "read_chat_request",
    "read_completion_request",
    "read_embedding_request",
]
