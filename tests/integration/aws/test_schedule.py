"""The reconciler, started by its schedule."""

from penstock.admission import Demand, admit, new_request_id
from penstock.clock import MINUTE, now_ms
from penstock.keys import parse
from penstock.ledger import Ledger, Reserved
from penstock.models import read_models
from tests.e2e.service import on_ledger, wait_for
from tests.integration.aws.deployment import Deployment
from tests.integration.aws.stack import ROOT

# As EventBridge sends it.
SCHEDULED = {"version": "0", "source": "aws.events", "detail-type": "Scheduled Event", "detail": {}}
PATIENCE_S = 150  # of a schedule that comes round every minute


def leases(cloud: Deployment) -> int:
    """How many requests are under way, by the ledger."""
    return on_ledger(cloud.ledger, lambda ledger: ledger.audit(now_ms())).leases


def test_what_died_is_closed_by_the_schedule(cloud: Deployment) -> None:
    """EventBridge starts the function, which closes the lease; nothing here invokes it."""
    key = parse(cloud.key())
    assert key is not None
    model = read_models(ROOT / "penstock.toml").get("demo")
    assert model is not None

    async def abandon(ledger: Ledger) -> None:
        caller = await ledger.caller(key.id)
        assert caller is not None
        demand = Demand(prompt_bytes=64, messages=1, max_tokens=None)
        request_id, long_ago = new_request_id(), now_ms() - 10 * MINUTE
        outcome = await admit(ledger, caller, model, demand, request_id=request_id, now=long_ago, claim_within_s=60)
        assert isinstance(outcome, Reserved)  # and so it stays until somebody closes it

    wait_for("the settlement of what other tests asked", lambda: leases(cloud) == 0)
    on_ledger(cloud.ledger, abandon)
    wait_for("the schedule", lambda: leases(cloud) == 0, patience=PATIENCE_S)


def test_its_event_is_answered_with_what_was_done(cloud: Deployment) -> None:
    assert cloud.stack.invoke("reconciler", SCHEDULED) == {"closed": 0, "finished": True}
