"""`/v1/files`: OpenAI's file objects, and Penstock's own way to put a large file's content at a signed URL.

Sources: OpenAI's API reference for files, as its Python client 3.54 types it. `FileRequest` and `upload` are ours.
"""

import re
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints

from penstock.batches import records
from penstock.clock import SECOND
from penstock.schemas.page import Page, count_to
from penstock.schemas.reading import Strict, whole
from penstock.schemas.wire import Wire

MAX_FILES = 10_000  # in a page
SHORTEST_LIFE = 60 * 60  # seconds
LONGEST_LIFE = 30 * 24 * 60 * 60  # seconds; also that of a file of which nothing is said

FileId = Annotated[str, StringConstraints(pattern=r"^file-[0-9A-Za-z]{1,64}$")]
_NAME = r"^[^/\\\x00-\x1f\x7f-\x9f\u2028\u2029]{1,255}$"  # and no path: it is told again where the content is saved
FileName = Annotated[str, StringConstraints(pattern=_NAME)]


def is_file_name(text: str) -> bool:
    """Whether a file may have this name."""
    return re.fullmatch(_NAME, text) is not None


class ExpiresAfter(Strict):
    """When a file goes: so many seconds after it was made."""

    anchor: Literal["created_at"]
    seconds: Annotated[int, Field(ge=SHORTEST_LIFE, le=LONGEST_LIFE), BeforeValidator(whole)]


class FileForm(Strict):
    """The fields of the form of `POST /v1/files`, but for the file itself."""

    purpose: Literal["batch"]
    expires_after: ExpiresAfter | None = None


class FileRequest(FileForm):
    """The JSON body of `POST /v1/files`: a file whose content will be put at the URL in the answer."""

    filename: FileName
    bytes: Annotated[int, Field(ge=1), BeforeValidator(whole)]


class FilesQuery(Strict):
    """What `GET /v1/files` is asked."""

    purpose: Literal["batch", "batch_output"] | None = Field(default=None, description="Only files of this purpose.")
    limit: Annotated[int, Field(ge=1, le=MAX_FILES), count_to(MAX_FILES)] = MAX_FILES
    order: Literal["asc", "desc"] = Field(default="desc", description="By the time of their making.")
    after: FileId | None = Field(default=None, description="The id of the file before the first.")


class Upload(Wire):
    """Where a file's content is to be put, with these headers, until then."""

    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: int  # seconds since the epoch


class FileObject(Wire):
    """A file."""

    id: str
    object: Literal["file"] = "file"
    bytes: int  # of a pending file, as promised
    created_at: int  # seconds since the epoch, as is the next
    expires_at: int | None
    filename: str
    purpose: Literal["batch", "batch_output"]
    status: Literal["pending", "processed"]  # pending: its content is not there yet
    upload: Annotated[Upload | None, Field(exclude_if=lambda value: value is None)] = None

    @classmethod
    def of(cls, file: records.File, upload: Upload | None = None) -> Self:
        """The file on the wire."""
        return cls(
            id=file.id,
            bytes=file.size,
            created_at=file.created_at // SECOND,
            expires_at=None if file.expires_at is None else file.expires_at // SECOND,
            filename=file.filename,
            purpose=file.purpose.value,
            status="processed" if file.state is records.FileState.READY else "pending",
            upload=upload,
        )


class FilePage(Page):
    """Some of the files."""

    data: list[FileObject]


class FileDeleted(Wire):
    """A file that is no more."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True
