"""`client.files`, asynchronous: files for batches, and what batches made."""

from typing import Literal, Unpack

from penstock.client.answers import FileDeleted, FileObject, FilePage, read_answer
from penstock.client.call import AsyncCaller, Timeout
from penstock.client.content import AsyncFileContent
from penstock.client.errors import BadRequest
from penstock.client.file_calls import (
    LARGEST_POSTED,
    content_call,
    deletion_call,
    file_call,
    files_call,
    form_call,
    only_forms,
    promise_call,
    upload_of,
)
from penstock.client.parameters import ExpiresAfter, FilesParameters
from penstock.client.source import FileInput, Source


class AsyncFiles:
    """`client.files`. Every method raises PenstockError."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def create(
        self,
        *,
        file: FileInput,
        purpose: Literal["batch"] = "batch",
        expires_after: ExpiresAfter | None = None,
        timeout: Timeout | None = None,  # noqa: ASYNC109 (as of every call: of a silence)
    ) -> FileObject:
        """Upload a file: a path, bytes, or an open file; or a name for it, and any of these.

        A large one goes into storage, past the API, where its storage takes it; it is never held in memory. Raises
        OSError where it cannot be read.
        """
        source = Source(file)
        if source.size > LARGEST_POSTED:
            try:
                promised = await self._caller.whole(promise_call(source, purpose, expires_after, timeout))
            except BadRequest as refusal:
                if not only_forms(refusal):
                    raise
            else:
                file_object = read_answer(FileObject, promised)
                await self._caller.upload(upload_of(file_object, source, timeout))
                return await self.retrieve(file_object.id)
        return read_answer(FileObject, await self._caller.whole(form_call(source, purpose, expires_after, timeout)))

    async def list(self, **arguments: Unpack[FilesParameters]) -> FilePage:
        """The files, the newest first."""
        return read_answer(FilePage, await self._caller.whole(files_call(arguments)))

    async def retrieve(self, file_id: str) -> FileObject:
        """A file, without its content."""
        return read_answer(FileObject, await self._caller.whole(file_call(file_id)))

    async def content(self, file_id: str) -> AsyncFileContent:
        """A file's content: `read()` it, or `stream_to` a path, or iterate over it."""
        return AsyncFileContent(await self._caller.download(content_call(file_id)))

    async def delete(self, file_id: str) -> FileDeleted:
        """Remove a file."""
        return read_answer(FileDeleted, await self._caller.whole(deletion_call(file_id)))
