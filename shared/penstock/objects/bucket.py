"""Objects in a bucket of S3, reached through s3fs: fsspec's file system for S3, used from one event loop.

Where it is and who we are comes from the standard AWS configuration: AWS_REGION, AWS_ENDPOINT_URL, the chain of
credentials. Opening it sends nothing. A large object is read in ranges, each a request of its own, so that a connection
that breaks costs one chunk; where the object is replaced meanwhile, its reader is told.

S3 tells only who may list the bucket that there is no object of a key; all others it refuses. A signed URL is good for
no longer than the credentials that signed it.
"""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any
from urllib.parse import quote

from botocore.exceptions import BotoCoreError
from s3fs import S3FileSystem

from penstock.objects.asking import Refused, Unfinished, missing, tried, unavailable
from penstock.objects.keys import check_key, check_prefix, is_key
from penstock.objects.protocol import Exists, Object, ObjectsUnavailable
from penstock.objects.upload import Upload

CONNECTIONS = 32  # of one process
CONNECT_TIMEOUT = 3.0  # seconds
READ_TIMEOUT = 15.0  # seconds without a byte
_PAGE = 1_000  # keys in one request to delete, as many as S3 takes
_ALREADY = frozenset({"412", "PreconditionFailed"})

_CONFIG = {
    "connect_timeout": CONNECT_TIMEOUT,
    "read_timeout": READ_TIMEOUT,
    "max_pool_connections": CONNECTIONS,
    "retries": {"total_max_attempts": 1},
    "signature_version": "s3v4",
    "tcp_keepalive": True,
    # TLS keeps what is sent whole, and a signed URL must not ask its user for a checksum.
    "request_checksum_calculation": "when_required",
    "response_checksum_validation": "when_required",
}


class Bucket:
    """One bucket. See the protocol."""

    def __init__(self, name: str, files: S3FileSystem, client: Any) -> None:
        self._name = name
        self._files = files
        self._client = client

    @classmethod
    async def open(cls, name: str) -> "Bucket":
        """The bucket of that name. Raises ObjectsUnavailable where the configuration is wrong."""
        # botocore knows AWS_DEFAULT_REGION; AWS_REGION is what AWS's other SDKs, and Lambda, say.
        region = {"region_name": os.environ.get("AWS_REGION")}
        files = S3FileSystem(
            asynchronous=True,
            skip_instance_cache=True,
            use_listings_cache=False,
            client_kwargs=region,
            config_kwargs=_CONFIG,
        )
        files.retries = 1
        try:
            return cls(name, files, await files.set_session())
        except (BotoCoreError, ValueError) as error:
            raise ObjectsUnavailable(f"the AWS configuration: {error}") from error

    async def put(self, key: str, data: bytes) -> None:
        """Make the object, or replace it."""
        try:
            await self.ask("put_object", Key=check_key(key), Body=data)
        except Refused as refused:
            raise unavailable(refused) from refused

    async def put_new(self, key: str, data: bytes) -> None:
        """Make the object. Raises Exists."""
        try:
            await self.ask("put_object", Key=check_key(key), Body=data, IfNoneMatch="*")
        except Refused as refused:
            if refused.code not in _ALREADY:
                raise unavailable(refused) from refused
            if await self.get(key) != data:
                raise Exists(f"there is another object {key!r}") from refused

    def writer(self, key: str) -> Upload:
        """Make the object, or replace it, with content that comes bit by bit."""
        return Upload(self.ask, check_key(key))

    async def get(self, key: str) -> bytes:
        """The whole content. Raises Missing."""
        return await self._read(check_key(key))

    async def chunks(self, key: str, *, size: int = 8 << 20) -> AsyncGenerator[bytes]:
        """The content in chunks. Raises ObjectsUnavailable, too, where the object is replaced meanwhile."""
        try:
            head = await self.ask("head_object", Key=check_key(key))
        except Refused as refused:
            raise missing(key, refused) from refused
        for begin in range(0, head["ContentLength"], size):
            yield await self._read(key, Range=f"bytes={begin}-{begin + size - 1}", IfMatch=head["ETag"])

    async def _read(self, key: str, **which: str) -> bytes:
        async def read() -> bytes:
            answer = await self._send("get_object", Key=key, **which)
            async with answer["Body"] as body:
                content: bytes = await body.read()
            return content

        try:
            return await tried(read)
        except Refused as refused:
            raise missing(key, refused) from refused

    async def size(self, key: str) -> int | None:
        """The object's size in bytes; None where there is none."""
        try:
            head = await self.ask("head_object", Key=check_key(key))
        except Refused as refused:
            if refused.code == "404":
                return None
            raise unavailable(refused) from refused
        length: int = head["ContentLength"]
        return length

    async def list(self, prefix: str) -> AsyncIterator[Object]:
        """All objects whose keys begin with `prefix`, in the order of their keys; see the protocol."""
        after: dict[str, str] = {}
        while True:
            try:
                page = await self.ask("list_objects_v2", Prefix=check_prefix(prefix), **after)
            except Refused as refused:
                raise unavailable(refused) from refused
            for each in page.get("Contents", ()):
                if is_key(each["Key"]):
                    yield Object(each["Key"], each["Size"])
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove the objects."""
        named = [{"Key": check_key(key)} for key in keys]
        for begin in range(0, len(named), _PAGE):
            await self._remove(named[begin : begin + _PAGE])

    async def _remove(self, named: Sequence[dict[str, str]]) -> None:
        async def remove() -> None:
            answer = await self._send("delete_objects", Delete={"Objects": named, "Quiet": True})
            if errors := answer.get("Errors"):
                raise Unfinished(f"{len(errors)} objects were not removed: {errors[0].get('Code')}")

        try:
            await tried(remove)
        except Refused as refused:
            raise unavailable(refused) from refused

    async def signed_put(self, key: str, *, size: int, expires_s: int) -> str | None:
        """A URL at which whoever has it may PUT `size` bytes: the length is signed, and S3 refuses any other."""
        return await self._signed("put_object", key, expires_s, ContentLength=size)

    async def signed_get(self, key: str, *, filename: str, expires_s: int) -> str | None:
        """A URL at which whoever has it may GET the object, which is saved as `filename`."""
        disposition = f"attachment; filename*=UTF-8''{quote(filename, safe='')}"
        return await self._signed("get_object", key, expires_s, ResponseContentDisposition=disposition)

    async def _signed(self, method: str, key: str, expires_s: int, **parameters: Any) -> str:
        path = f"{self._name}/{check_key(key)}"
        try:
            url: str = await self._files._url(path, expires=expires_s, client_method=method, **parameters)  # noqa: SLF001
        except BotoCoreError as error:
            raise ObjectsUnavailable(f"S3: {error}") from error
        return url

    async def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        """A request to the bucket. Raises Refused."""
        return await tried(lambda: self._send(method, **parameters))

    async def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        # What fsspec's own coroutines stand on: they have no write that must be new, no parts and no pages.
        answer: dict[str, Any] = await self._files._call_s3(method, Bucket=self._name, **parameters)  # noqa: SLF001
        return answer

    async def close(self) -> None:
        """Let go of the connections."""
        await self._client.close()
