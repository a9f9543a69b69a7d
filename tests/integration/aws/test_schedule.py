"""The reconciler, started by its schedule."""

from penstock.clock import now_ms
from tests.e2e.service import on_ledger, wait_for
from tests.integration.aws.deployment import Deployment

# As EventBridge sends it.
SCHEDULED = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PATIENCE_S = 150  # of a schedule that comes round every minute


def test_what_died_is_closed_by_the_schedule(cloud: Deployment) -> None:
    """EventBridge starts the function, which closes the lease that `cloud` left; nothing here invokes it."""

    def closed() -> bool:
        return on_ledger(cloud.ledger, lambda ledger: ledger.audit(now_ms())).leases == 0

    wait_for("the schedule", closed, patience=PATIENCE_S)


def test_its_event_is_answered_with_what_was_done(cloud: Deployment) -> None:
    answer = cloud.stack.invoke("reconciler", SCHEDULED)
    assert (answer["closed"], answer["finished"], answer["batches_failed"]) == (0, True, 0)
