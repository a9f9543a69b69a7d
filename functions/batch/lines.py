"""The lines of a file that comes in chunks, with no more of it in memory than a chunk and a line.

They end with LF; what a CR before it, or a byte order mark before the first, is to a reader is left to `Lines.cut`'s
caller and to JSON, for which a CR is a space. A line that is too long is dropped as it comes, and only told of.
"""

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class Lines:
    """Cuts chunks into lines of at most `longest` bytes; None stands for a longer one."""

    def __init__(self, longest: int) -> None:
        self._longest = longest
        self._begun = bytearray()  # of a line whose end has not come
        self._over = False  # the line that was begun is too long
        self._first = True

    def cut(self, chunk: bytes) -> list[bytes | None]:
        """The lines that end in this chunk, without their ends."""
        begun, *others = chunk.split(b"\n")
        self._add(begun)
        if not others:
            return []
        last = others.pop()
        longest = self._longest
        found = [self._taken(), *(line if len(line) <= longest else None for line in others)]
        self._add(last)
        return found

    def end(self) -> list[bytes | None]:
        """The last line, where the file does not end with a line's end."""
        return [self._taken()] if self._begun or self._over else []

    def _add(self, part: bytes) -> None:
        self._over = self._over or len(self._begun) + len(part) > self._longest
        if self._over:
            self._begun.clear()
        else:
            self._begun += part

    def _taken(self) -> bytes | None:
        line = None if self._over else bytes(self._begun)
        self._begun, self._over = bytearray(), False
        if self._first and line is not None:
            line = line.removeprefix(_BYTE_ORDER_MARK)
        self._first = False
        return line
