"""Server-sent events, read from bytes as they arrive.

The format is the "event stream" of the HTML standard (section 9.2, "Server-sent events"): UTF-8, lines
ended by LF, CR or CRLF, an event ended by an empty line. Reading is separate from transport, so that one
decoder serves blocking and asynchronous clients alike. An unfinished event at the end of a stream is
dropped, as the standard says.
"""

from collections.abc import Iterator
from dataclasses import dataclass

MAX_EVENT = 1 << 20  # bytes


class EventTooLong(Exception):
    """An event is longer than the decoder keeps."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event. `name` is `message` where the stream gives none; `id` is the last one given."""

    data: str
    name: str = "message"
    id: str = ""


class SseDecoder:
    """Turns the bytes of one stream into its events. Comments, and events without data, are passed over."""

    def __init__(self, *, max_event: int = MAX_EVENT) -> None:
        self._max_event = max_event
        self._rest = bytearray()  # a line that has not ended
        self._after_cr = False
        self._first_line = True
        self._data: list[str] = []
        self._size = 0
        self._name = ""
        self._id = ""

    def feed(self, chunk: bytes) -> Iterator[ServerSentEvent]:
        """The events that `chunk` completes. Raises EventTooLong.

        The iterator must be run to its end before the next chunk is fed.
        """
        for line in self._lines(chunk):
            if not line.startswith(b":"):
                self._size += len(line)
                self._check(0)
            event = self._take(self._text(line))
            if event is not None:
                yield event

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        # An LF right after a CR that ended the chunk before belongs to that CR.
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if not chunk:
            return
        self._after_cr = chunk.endswith(b"\r")
        *ended, rest = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        for part in ended:
            line = bytes(self._rest) + part
            self._rest.clear()
            yield line
        self._rest += rest
        self._check(len(self._rest))

    def _text(self, line: bytes) -> str:
        text = line.decode("utf-8", "replace")
        if self._first_line:
            self._first_line = False
            text = text.removeprefix("\ufeff")
        return text

    def _take(self, line: str) -> ServerSentEvent | None:
        if not line:
            return self._end()
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "id" and "\0" not in value:
            self._id = value
        return None

    def _end(self) -> ServerSentEvent | None:
        data, name = self._data, self._name
        self._data, self._name, self._size = [], "", 0
        return ServerSentEvent("\n".join(data), name or "message", self._id) if data else None

    def _check(self, unfinished: int) -> None:
        if self._size + unfinished > self._max_event:
            raise EventTooLong(f"an event of more than {self._max_event} bytes")
