"""A body on its way: content that both callers send part by part, as long as it said it would be."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx2

from penstock.client.call import Content


class Sent(httpx2.SyncByteStream, httpx2.AsyncByteStream):
    """The content as httpx2 sends it; on asyncio it is read in threads."""

    def __init__(self, content: Content) -> None:
        self._content = content

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._content)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        parts = iter(self._content)
        while part := await asyncio.to_thread(next, parts, b""):
            yield part


def request_of(
    method: str, url: httpx2.URL, headers: dict[str, str], content: bytes | Content | None, timeout: httpx2.Timeout
) -> httpx2.Request:
    """A request, whatever its body is."""
    extensions = {"timeout": timeout.as_dict()}
    if content is None or isinstance(content, bytes):
        return httpx2.Request(method, url, headers=headers, content=content, extensions=extensions)
    # Of a stream httpx2 knows nothing; with its length it need not be sent in chunks, which storage does not take.
    headers = {"Host": url.netloc.decode("ascii"), **headers, "Content-Length": str(content.size)}
    return httpx2.Request(method, url, headers=headers, stream=Sent(content), extensions=extensions)
