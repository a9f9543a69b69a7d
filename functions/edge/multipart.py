"""A multipart form (RFC 7578): its fields, which are small, and its one file, whose content is passed on as it comes.

In memory there is a chunk of the body and the fields, each bounded; the form's end is only good once it was seen.
What the fields mean is for the caller to read.
"""

import hashlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import Request

from functions.edge.body import too_large
from penstock.errors import BadRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MEDIA_TYPE = "multipart/form-data"
FILE = "file"  # the name of the part that is the file
OVERHEAD = 64 << 10  # bytes of a form beside the file's
MAX_FIELDS = 16
MAX_FIELD = 4 << 10  # bytes

# What is wrong with a form is told its sender, and not the log.
logging.getLogger("python_multipart").setLevel(logging.ERROR)

Sink = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Form:
    """A form that was read: its fields as text, and its file's name, size in bytes and hex SHA-256."""

    fields: dict[str, str]
    filename: str
    size: int
    digest: str


def is_form(request: Request) -> bool:
    """Whether the body says that it is a form."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def read_form(request: Request, sink: Sink, limit: int) -> Form:
    """Read the form; the file's content goes to `sink`. Raises BadRequest, or BodyTooLarge for a file over `limit`."""
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > limit + OVERHEAD):
        raise too_large(limit)
    reading = _Reading(limit)
    _, options = parse_options_header(request.headers["content-type"])
    try:
        parser = MultipartParser(options.get(b"boundary", b""), reading.callbacks())
        async for chunk in request.stream():
            parser.write(chunk)
            await reading.pass_on(sink)
    except FormParserError as error:
        raise _no_form() from error
    return reading.form()


class _Reading:
    """A form on its way in: what the parser calls, part by part."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._fields: dict[str, str] = {}
        self._filename: str | None = None
        self._size = 0
        self._beside = 0  # bytes of fields and headers
        self._digest = hashlib.sha256()
        self._waiting: list[bytes] = []  # of the file, to be passed on
        self._header = b""  # the name of the one that is read
        self._disposition = b""
        self._name = ""  # of the part that is read
        self._field: bytearray | None = None  # its content; None where it is the file
        self._ended = False

    def callbacks(self) -> "MultipartCallbacks":
        """What the parser is to call."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": self._header_name,
            "on_header_value": self._header_value,
            "on_header_end": self._header_end,
            "on_headers_finished": self._headers_end,
            "on_part_data": self._data,
            "on_part_end": self._part_end,
            "on_end": self._end,
        }

    async def pass_on(self, sink: Sink) -> None:
        """Hand on what has come of the file."""
        for piece in self._waiting:
            await sink(piece)
        self._waiting.clear()

    def form(self) -> Form:
        """The form, which is whole. Raises BadRequest."""
        if not self._ended:
            raise _no_form()
        if self._filename is None:
            raise BadRequest(f"{FILE}: is missing.", param=FILE, code="missing_required_parameter")
        return Form(self._fields, self._filename, self._size, self._digest.hexdigest())

    def _begin(self) -> None:
        self._header = self._disposition = b""

    def _header_name(self, data: bytes, start: int, end: int) -> None:
        self._header += self._counted(data[start:end]).lower()

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        if self._header == b"content-disposition":
            self._disposition += self._counted(data[start:end])

    def _header_end(self) -> None:
        self._header = b""

    def _headers_end(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = _text(options.get(b"name", b""), "The form")[:64]
        filename = options.get(b"filename")
        if (filename is None) == (self._name == FILE):
            raise BadRequest(f"{FILE}: must be a file with a name, and the only one.", param=FILE, code="invalid_type")
        if self._name in self._fields or (filename is not None and self._filename is not None):
            raise BadRequest(f"{self._name}: is given twice.", param=self._name, code="invalid_value")
        if filename is not None:
            self._filename = _text(filename, FILE)
        elif len(self._fields) == MAX_FIELDS:
            raise BadRequest(f"The form has more than {MAX_FIELDS} fields.", code="invalid_form")
        self._field = None if filename is not None else bytearray()

    def _data(self, data: bytes, start: int, end: int) -> None:
        piece = data[start:end]
        if self._field is not None:
            self._field += self._counted(piece)
            if len(self._field) > MAX_FIELD:
                raise BadRequest(f"{self._name}: is over {MAX_FIELD:,} bytes.", param=self._name, code="invalid_value")
            return
        self._size += len(piece)
        if self._size > self._limit:
            raise too_large(self._limit)
        self._digest.update(piece)
        self._waiting.append(piece)

    def _part_end(self) -> None:
        if self._field is not None:
            self._fields[self._name] = _text(bytes(self._field), self._name)

    def _end(self) -> None:
        self._ended = True

    def _counted(self, piece: bytes) -> bytes:
        self._beside += len(piece)
        if self._beside > OVERHEAD:
            raise BadRequest("The form has too much beside its file.", code="invalid_form")
        return piece


def _text(data: bytes, name: str) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise BadRequest(f"{name}: is not UTF-8.", param=name, code="invalid_value") from None


def _no_form() -> BadRequest:
    return BadRequest("The body is not a whole multipart form.", code="invalid_form")
