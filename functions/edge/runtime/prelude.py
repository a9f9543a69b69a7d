"""The beginning of a streamed response: status and headers as JSON, and eight NUL bytes.

Source: docs.aws.amazon.com/apigateway/latest/developerguide/response-transfer-mode-lambda.html. API Gateway takes
`headers`, `multiValueHeaders` and `cookies`; a Function URL `headers` and `cookies` (so what is repeated is joined).
"""

from collections import defaultdict
from collections.abc import Iterable

import orjson

MAX_PRELUDE = 16 << 10  # bytes, the delimiter among them: API Gateway looks no further for it
DELIMITER = bytes(8)

# Of one connection (RFC 9110, 7.6.1), and the length, which whoever sends it on sets himself.
_LEFT_OUT = {
    "connection",
    "content-length",
    "keep-alive",
    "proxy-authenticate",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}


class PreludeTooLong(Exception):
    """The headers do not fit."""


def prelude(status: int, headers: Iterable[tuple[bytes, bytes]], *, multi_value: bool) -> bytes:
    """The bytes; with `multi_value`, repeated headers stay apart. Raises PreludeTooLong."""
    values: defaultdict[str, list[str]] = defaultdict(list)
    for name, value in headers:
        values[name.decode("latin-1").lower()].append(value.decode("latin-1"))
    named = {option.strip().lower() for value in values["connection"] for option in value.split(",")}
    cookies = values.pop("set-cookie", [])
    kept = {name: value for name, value in values.items() if name not in _LEFT_OUT | named}
    repeated = {name: value for name, value in kept.items() if multi_value and len(value) > 1}
    single = {name: ", ".join(value) for name, value in kept.items() if name not in repeated}
    metadata = {"statusCode": status, "headers": single}
    metadata |= {"multiValueHeaders": repeated} if repeated else {}
    metadata |= {"cookies": cookies} if cookies else {}
    data = orjson.dumps(metadata) + DELIMITER
    if len(data) > MAX_PRELUDE:
        raise PreludeTooLong(f"{len(data)} bytes of headers")
    return data
