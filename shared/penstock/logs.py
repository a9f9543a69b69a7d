"""JSON logs on standard output, one object a line, for the edge and the GPU process.

What may be logged: request ids, accounts' and keys' ids, the model, counts, durations, error types.
Never a key, a ticket, a prompt or an answer; nothing here formats a request. Needs structlog, which the
`edge` and `gpu` extras bring.
"""

import logging
import sys
from typing import Any

import orjson
import structlog


def configure_logs(process: str, level: str) -> None:
    """Send this process's logs to standard output as JSON; `process` names it in every line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(serializer=_dumps),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process)


def _dumps(event: dict[str, Any], **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()
