"""The schedule: what EventBridge invokes every minute. It closes dead leases, and goes on with every open batch.

Whatever an event, a message or an invocation did not bring about, because it was lost or broke off, is taken up here: a
shard whose worker died, a batch whose time is over, an end of which nobody could be told. Steps that may take minutes
are only begun: the function of the events has the time for them.

An invocation that fails is an error of the function, which its alarm counts: the ledger is away, or the time that the
function has is too short. Of batches, one that fails is logged, and stops no other. The event's content is not looked
at.
"""

from dataclasses import dataclass

import structlog

from functions.batch.at_once import at_once
from functions.batch.function import Context, Function, within_s
from functions.batch.plant import Plant
from functions.batch.reconciler import Reconciled, reconcile
from penstock.ledger import LedgerUnavailable

AT_ONCE = 8  # batches
FOR_LEASES = 0.5  # of the time, at most

log = structlog.get_logger()

_function = Function("schedule")


@dataclass
class Round:
    """What a round over the open batches came to, so far."""

    batches: int = 0
    closed: int = 0
    failed: int = 0


def handler(_event: object, context: Context) -> dict[str, int | bool]:
    """Leases that were closed, whether none is left that is due; open batches, closed ones, and those that failed.

    Raises LedgerUnavailable, and TimeoutError where the time did not do for one look at the ledger.
    """
    within = within_s(context)
    try:
        reconciled = _function.run(lambda plant: reconcile(plant.ledger, within * FOR_LEASES), context)
    except (LedgerUnavailable, TimeoutError) as error:
        log.error("not_reconciled", error=type(error).__name__, within_s=round(within, 1))
        raise
    return _told(reconciled, _round(context))


def _round(context: Context) -> Round:
    done = Round()
    try:
        _function.run(lambda plant: advance_all(plant, done), context)
    except TimeoutError:
        log.warning("round_cut_off", batches=done.batches, closed=done.closed)
    return done


async def advance_all(plant: Plant, done: Round) -> None:
    """Take every open batch further, and give what places are free. Raises LedgerUnavailable."""

    async def advance(batch_id: str) -> None:
        done.batches += 1
        try:
            done.closed += await plant.batches.advance(batch_id, fill=False, at_length=False)
        except Exception as error:
            done.failed += 1
            log.error("batch_failed", batch=batch_id, exc_info=error)

    await at_once(AT_ONCE, advance, await plant.book.open_batches())
    await plant.batches.fill()


def _told(reconciled: Reconciled, done: Round) -> dict[str, int | bool]:
    log.info("reconciled", closed=reconciled.closed, finished=reconciled.finished)
    batches = {"batches": done.batches, "batches_closed": done.closed, "batches_failed": done.failed}
    log.info("round", **batches)
    return {"closed": reconciled.closed, "finished": reconciled.finished, **batches}
