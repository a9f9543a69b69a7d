"""A process that works on a ledger: opens it at a signal, runs requests, and prints what was acknowledged.

`python -m tests.integration.ledger.worker URL KEY_ID NAME COUNT [INSIST]` prints `ready`, waits for a line on its
standard input, and then prints `granted ID` or `refused ID` after each reservation and `settled ID` after
each settlement. With INSIST it tries again after each refusal, until it is granted. The account and the key
must exist where COUNT is not zero.
"""

import asyncio
import random
import sys

from penstock.ledger import Bound, Caller, Claim, Ledger, Refused, Settled, open_ledger
from tests.contract.rush import within_limits
from tests.contract.samples import BOUND, COST, DEADLINE, NOW, USAGE, lease_of


def say(what: str) -> None:
    """To the parent, at once."""
    sys.stdout.write(f"{what}\n")
    sys.stdout.flush()


async def request(ledger: Ledger, caller: Caller, request_id: str, *, insist: bool) -> None:
    """One request from its reservation to its settlement."""
    outcome = await ledger.reserve(caller, lease_of(caller, request_id, bound=BOUND))
    while insist and isinstance(outcome, Refused):
        await asyncio.sleep(random.uniform(0, 0.02))
        outcome = await ledger.reserve(caller, lease_of(caller, request_id, bound=BOUND))
    within_limits(outcome.standings)
    say(f"{'refused' if isinstance(outcome, Refused) else 'granted'} {request_id}")
    if isinstance(outcome, Refused):
        return
    lease = outcome.lease
    if await ledger.claim(lease, "a", Bound(50, COST), NOW, DEADLINE) is not Claim.CLAIMED:
        raise RuntimeError(f"{request_id} could not be claimed")
    if await ledger.settle(lease, USAGE, "stop", NOW) is not Settled.FIRST:
        raise RuntimeError(f"{request_id} was settled before")
    say(f"settled {request_id}")


async def work(url: str, key_id: str, name: str, count: int, *, insist: bool) -> None:
    """Open the ledger and run so many requests for the key, one after the other."""
    ledger = await open_ledger(url)
    try:
        caller = await ledger.caller(key_id)
        for number in range(count):
            if caller is None:
                raise RuntimeError(f"there is no key {key_id}")
            await request(ledger, caller, f"{name}-{number}", insist=insist)
    finally:
        await ledger.close()


if __name__ == "__main__":
    say("ready")
    sys.stdin.readline()
    asyncio.run(work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), insist=len(sys.argv) > 5))
