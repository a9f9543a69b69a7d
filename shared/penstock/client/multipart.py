"""A form with one file in it, as `multipart/form-data` (RFC 7578), read as it is sent."""

import secrets
from collections.abc import Iterator, Mapping

from penstock.client.source import Source

# In a quoted string (RFC 2183, RFC 822) what would end it is told apart so; what would end the line has no place there.
_ESCAPED = {ord('"'): '\\"', ord("\\"): "\\\\", ord("\r"): "%0D", ord("\n"): "%0A"}


class Multipart:
    """Content that `Caller` can send, of the type that `content_type` says."""

    def __init__(self, fields: Mapping[str, str], source: Source) -> None:
        boundary = secrets.token_hex(16)
        texts = [_part(boundary, f'name="{name}"') + value.encode() + b"\r\n" for name, value in fields.items()]
        of_file = f'name="file"; filename="{source.name.translate(_ESCAPED)}"'
        kind = b"Content-Type: application/octet-stream\r\n"
        self._before = b"".join(texts) + _part(boundary, of_file, kind)
        self._source = source
        self._after = f"\r\n--{boundary}--\r\n".encode()
        self.content_type = f"multipart/form-data; boundary={boundary}"

    @property
    def size(self) -> int:
        """Its bytes."""
        return len(self._before) + self._source.size + len(self._after)

    def __iter__(self) -> Iterator[bytes]:
        yield self._before
        yield from self._source
        yield self._after


def _part(boundary: str, disposition: str, more: bytes = b"") -> bytes:
    return f"--{boundary}\r\nContent-Disposition: form-data; {disposition}\r\n".encode() + more + b"\r\n"
