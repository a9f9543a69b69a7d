"""`/v1/batches`: OpenAI's batch objects.

Source of the shapes: OpenAI's API reference for batches, as its Python client 3.54 types it. Other windows than 24 h
and `errors.has_more` are ours.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from penstock.batches import records
from penstock.batches.records import Status
from penstock.clock import SECOND
from penstock.ledger.records import Usage
from penstock.schemas.file import ExpiresAfter, FileId
from penstock.schemas.page import Page, count_to
from penstock.schemas.reading import Strict, wrong_at
from penstock.schemas.wire import Wire

HOUR = 60 * 60  # seconds
LONGEST_WINDOW = 168  # hours
MAX_BATCHES = 100  # in a page
MAX_METADATA = 16  # pairs
Endpoint = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings"]
BatchId = Annotated[str, StringConstraints(pattern=r"^batch_[0-9A-Za-z]{1,64}$")]

_WINDOW = re.compile(r"([1-9][0-9]{0,2})h")


def _window(text: str) -> str:
    found = _WINDOW.fullmatch(text)
    if found is None or int(found[1]) > LONGEST_WINDOW:
        raise wrong_at("", f"must be '24h', or another number of hours from '1h' to '{LONGEST_WINDOW}h'")
    return text


class BatchRequest(Strict):
    """The body of `POST /v1/batches`."""

    input_file_id: FileId
    endpoint: Endpoint
    completion_window: Annotated[
        str,
        Field(json_schema_extra={"pattern": r"^([1-9]|[1-9][0-9]|1[0-5][0-9]|16[0-8])h$"}),
        AfterValidator(_window),
    ]
    metadata: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(max_length=64)],
                Annotated[str, StringConstraints(max_length=512)],
            ],
            Field(max_length=MAX_METADATA),
        ]
        | None
    ) = None
    output_expires_after: ExpiresAfter | None = Field(
        default=None, description="When the files go that the batch makes; without it, after 30 days."
    )

    @property
    def window_s(self) -> int:
        """The window in seconds."""
        return int(self.completion_window.removesuffix("h")) * HOUR


class BatchesQuery(Strict):
    """What `GET /v1/batches` is asked."""

    limit: Annotated[int, Field(ge=1, le=MAX_BATCHES), count_to(MAX_BATCHES)] = 20
    after: BatchId | None = Field(default=None, description="The id of the batch before the first.")


class BatchError(Wire):
    """What is wrong with the input: with one line, by its number from 1, or with the whole."""

    code: str
    line: int | None
    message: str
    param: str | None


class BatchErrors(Wire):
    """The first things that are wrong with the input, by line."""

    object: Literal["list"] = "list"
    data: list[BatchError]
    has_more: bool  # there are more that are wrong


class BatchRequestCounts(Wire):
    """Lines of the input; those that are in neither of the two are not done yet, or were never run."""

    total: int
    completed: int
    failed: int


class InputTokensDetails(Wire):
    """Of the input's tokens."""

    cached_tokens: int


class OutputTokensDetails(Wire):
    """Of the output's tokens. No model here reasons apart from its answer."""

    reasoning_tokens: int = 0


class BatchUsage(Wire):
    """The tokens of all lines so far."""

    input_tokens: int
    input_tokens_details: InputTokensDetails
    output_tokens: int
    output_tokens_details: OutputTokensDetails
    total_tokens: int

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """The usage on the wire."""
        return cls(
            input_tokens=usage.prompt_tokens,
            input_tokens_details=InputTokensDetails(cached_tokens=usage.cached_prompt_tokens),
            output_tokens=usage.completion_tokens,
            output_tokens_details=OutputTokensDetails(),
            total_tokens=usage.prompt_tokens + usage.completion_tokens,
        )


class Batch(Wire):
    """A batch, and how far it has come. Times are seconds since the epoch."""

    id: str
    object: Literal["batch"] = "batch"
    endpoint: str  # empty where each line says its own
    model: str | None  # of all lines, once they have been looked at
    errors: BatchErrors | None
    input_file_id: str
    completion_window: str
    status: Literal[
        "validating", "failed", "in_progress", "finalizing", "completed", "expired", "cancelling", "cancelled"
    ]
    output_file_id: str | None
    error_file_id: str | None
    created_at: int
    in_progress_at: int | None
    expires_at: int
    finalizing_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelling_at: int | None
    cancelled_at: int | None
    request_counts: BatchRequestCounts
    usage: BatchUsage
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, batch: records.Batch) -> Self:
        """The batch on the wire."""
        return cls(
            id=batch.id,
            endpoint=batch.endpoint,
            model=batch.model,
            errors=_errors(batch),
            input_file_id=batch.input_file_id,
            completion_window=_written(batch.window_s),
            status=batch.status.value,
            output_file_id=batch.output_file_id,
            error_file_id=batch.error_file_id,
            created_at=batch.created_at // SECOND,
            in_progress_at=_seconds(batch.in_progress_at),
            expires_at=batch.expires_at // SECOND,
            finalizing_at=_seconds(batch.finalizing_at),
            completed_at=_ended(batch, Status.COMPLETED),
            failed_at=_ended(batch, Status.FAILED),
            expired_at=_ended(batch, Status.EXPIRED),
            cancelling_at=_seconds(batch.cancelling_at),
            cancelled_at=_ended(batch, Status.CANCELLED),
            request_counts=BatchRequestCounts(total=batch.lines, completed=batch.completed, failed=batch.failed),
            usage=BatchUsage.of(batch.usage),
            metadata=batch.metadata or None,
        )


class BatchPage(Page):
    """Some of the batches, newest first."""

    data: list[Batch]


def _errors(batch: records.Batch) -> BatchErrors | None:
    if not batch.errors:
        return None
    told = [BatchError(code=one.code, line=one.line, message=one.message, param=one.param) for one in batch.errors]
    return BatchErrors(data=told, has_more=batch.more_errors)


def _written(window_s: int) -> str:
    return f"{window_s // HOUR}h" if window_s % HOUR == 0 else f"{window_s}s"


def _ended(batch: records.Batch, status: Status) -> int | None:
    return _seconds(batch.ended_at) if batch.status is status else None


def _seconds(at: int | None) -> int | None:
    return None if at is None else at // SECOND
