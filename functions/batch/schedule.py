"""The reconciler on AWS Lambda: what an EventBridge schedule invokes, every few minutes.

An invocation that fails is an error of the function, which its alarm counts: the ledger is away, or the time
that the function has is too short. The event's content does not matter. The event loop and the ledger's
connections live on between invocations.
"""

import asyncio
from typing import Protocol

import structlog

from functions.batch.reconciler import Reconciler
from penstock.ledger import LedgerUnavailable
from penstock.logs import configure_logs
from penstock.settings import LedgerSettings, read_settings

# Of the function's time, for what follows: the log line, and the answer's way out.
MARGIN = 2.0  # seconds

log = structlog.get_logger()

_settings = read_settings(LedgerSettings)
configure_logs("reconciler", _settings.log_level)
_runner = asyncio.Runner()
_reconciler = Reconciler(_settings.ledger_url)


class Context(Protocol):
    """Of Lambda's context, what is used of it."""

    def get_remaining_time_in_millis(self) -> int:
        """Milliseconds until Lambda ends the invocation."""


def handler(_event: object, context: Context) -> dict[str, int | bool]:
    """Close dead leases: how many were, and whether none is left. Raises LedgerUnavailable, TimeoutError."""
    within = max(context.get_remaining_time_in_millis() / 1_000 - MARGIN, 0.0)
    try:
        done = _runner.run(_reconciler.run(within))
    except (LedgerUnavailable, TimeoutError) as error:
        log.error("not_reconciled", error=type(error).__name__, within_s=round(within, 1))
        raise
    log.info("reconciled", closed=done.closed, finished=done.finished)
    return {"closed": done.closed, "finished": done.finished}
