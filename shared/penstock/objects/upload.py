"""An object that is sent to S3 in parts, and is there with the last word or not at all.

What is smaller than a part goes in one request. Parts of an upload that its process did not live to end are S3's to
remove, by a rule of the bucket (`AbortIncompleteMultipartUpload`): no listing shows them.
"""

import secrets
from contextlib import suppress
from types import TracebackType
from typing import Any, Protocol, Self

from penstock.objects.asking import Refused, unavailable
from penstock.objects.protocol import ObjectsUnavailable

PART = 8 << 20  # bytes; S3 takes 5 MiB and more, and 10,000 parts
_MARK = "upload"  # of the object's metadata


class Ask(Protocol):
    """A request to the bucket."""

    async def __call__(self, method: str, **parameters: Any) -> dict[str, Any]:
        """S3's answer. Raises Refused, ObjectsUnavailable."""


class Upload:
    """A writer. See the protocol."""

    def __init__(self, ask: Ask, key: str) -> None:
        self._ask = ask
        self._key = key
        self._waiting = bytearray()  # less than a part
        self._id: str | None = None  # once there is a part
        self._mark = secrets.token_hex(16)
        self._parts: list[dict[str, Any]] = []

    async def __aenter__(self) -> Self:
        return self

    async def write(self, data: bytes) -> None:
        """Add to it."""
        rest = memoryview(data)
        while len(self._waiting) + len(rest) >= PART:
            room = PART - len(self._waiting)
            self._waiting += rest[:room]
            rest = rest[room:]
            await self._send()
        self._waiting += rest

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if error is None:
                await self._finish()
        except Refused as refused:
            error = refused
            raise unavailable(refused) from refused
        except BaseException as unfinished:
            error = unfinished
            raise
        finally:
            if error is not None and self._id is not None:
                with suppress(Refused, ObjectsUnavailable):
                    await self._ask("abort_multipart_upload", Key=self._key, UploadId=self._id)

    async def _send(self) -> None:
        """Send what waits as a part."""
        try:
            if self._id is None:
                made = await self._ask("create_multipart_upload", Key=self._key, Metadata={_MARK: self._mark})
                self._id = made["UploadId"]
            number = len(self._parts) + 1
            sent = await self._ask(
                "upload_part", Key=self._key, UploadId=self._id, PartNumber=number, Body=bytes(self._waiting)
            )
        except Refused as refused:
            raise unavailable(refused) from refused
        self._parts.append({"PartNumber": number, "ETag": sent["ETag"]})
        self._waiting.clear()

    async def _finish(self) -> None:
        if self._id is None:
            await self._ask("put_object", Key=self._key, Body=bytes(self._waiting))
            return
        if self._waiting:
            await self._send()
        try:
            await self._ask(
                "complete_multipart_upload",
                Key=self._key,
                UploadId=self._id,
                MultipartUpload={"Parts": self._parts},
            )
        except Refused as refused:
            # S3 forgets an upload that is complete: this may be the answer to a repeated request.
            if refused.code != "NoSuchUpload" or not await self._there():
                raise

    async def _there(self) -> bool:
        """Whether the object of the key is this one."""
        head = await self._ask("head_object", Key=self._key)
        return bool(head["Metadata"].get(_MARK) == self._mark)
