"""The events of a stream, cut from the bytes as they arrive.

Only whole events are passed on, so that a break never leaves half of one behind. A stream that ends
without `[DONE]` or an error has broken off, even where its connection was closed in good order.
"""

from collections.abc import AsyncIterable, AsyncIterator

from penstock.errors import UpstreamFailed

MAX_EVENT = 1 << 20  # bytes

_END = b"\n\n"
_ERROR = b'data: {"error"'
_LAST = (b"data: [DONE]", _ERROR)


def broke_off() -> UpstreamFailed:
    """The error of an answer that ended before its end."""
    return UpstreamFailed("The GPU process broke off in the middle of the answer.")


def ends_with_error(events: bytes) -> bool:
    """Whether the last of some whole events is an error."""
    return events.removesuffix(_END).rpartition(_END)[2].startswith(_ERROR)


def is_over(events: bytes) -> bool:
    """Whether some whole events are the last of a stream."""
    return events.removesuffix(_END).rpartition(_END)[2].startswith(_LAST)


async def whole_events(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    """One or several whole events at a time. Raises UpstreamFailed for one without end, or a stream without."""
    rest = last = b""
    async for chunk in chunks:
        events, end, rest = (rest + chunk).rpartition(_END)
        if end:
            last = events
            yield events + end
        if len(rest) > MAX_EVENT:
            raise UpstreamFailed("The GPU process sent an event that has no end.")
    if rest or not is_over(last):
        raise broke_off()
