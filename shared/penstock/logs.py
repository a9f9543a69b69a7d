"""JSON logs on standard output, one object a line, for the edge and the GPU process.

What may be logged: request ids, accounts' and keys' ids, the model, counts, durations, error types.
Never a key, a ticket, a prompt or an answer; nothing here formats a request. That goes for exceptions too:
one is logged as its types and its places in the code, since a message or a local variable may hold anything.
Needs structlog, which the `edge` and `gpu` extras bring.
"""

import logging
import sys
import traceback
from collections import deque
from collections.abc import Iterator
from itertools import islice
from types import TracebackType
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

MAX_ERRORS = 16  # of one exception's causes and group
MAX_PLACES = 32  # of one traceback


def configure_logs(process: str, level: str, *, to: TextIO | None = None) -> None:
    """Send this process's logs to standard output as JSON, or `to` a file; `process` names it in every line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _named(process),
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(_outline),
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=to or sys.stdout),
        cache_logger_on_first_use=True,
    )


def _named(process: str) -> Processor:
    # Not a context variable: those are gone in a new thread, and after `clear_contextvars`.
    def name(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    return name


def _outline(exc_info: tuple[type[BaseException], BaseException, TracebackType | None]) -> list[dict[str, Any]]:
    """The exception, then what caused it or is grouped in it: each its type and the places it came through."""
    return [
        {"type": type(error).__qualname__, "at": _places(error)} for error in islice(_related(exc_info[1]), MAX_ERRORS)
    ]


def _related(first: BaseException) -> Iterator[BaseException]:
    pending: list[BaseException | None] = [first]
    seen: set[int] = set()
    while pending:
        error = pending.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        yield error
        pending.append(error.__cause__ or (None if error.__suppress_context__ else error.__context__))
        pending.extend(error.exceptions if isinstance(error, BaseExceptionGroup) else ())


def _places(error: BaseException) -> list[str]:
    steps = deque(traceback.walk_tb(error.__traceback__), maxlen=MAX_PLACES)  # the innermost
    return [f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}" for frame, line in steps]


def _dumps(event: dict[str, Any], **_: Any) -> str:
    try:
        return orjson.dumps(event, default=str).decode()
    except TypeError:  # half a surrogate pair, or a number over 64 bits: a log line is never an error
        return orjson.dumps({name: _text(value) for name, value in event.items()}).decode()


def _text(value: object) -> str:
    return str(value).encode(errors="replace").decode()
