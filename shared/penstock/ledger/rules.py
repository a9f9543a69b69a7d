"""Rules that hold in every store: who may reserve, and that nobody claims or books more than is set aside."""

from penstock.ledger.records import AccessDenied, Bound, Caller, Lease, Usage
from penstock.prices import Price

LOST_OUTCOME = "lost"  # of a request whose GPU process was heard of no more


def entitled(caller: Caller | None, lease: Lease) -> Caller:
    """The lease's caller, as the store has it. Raises AccessDenied where it may not reserve (any more)."""
    if caller is None or caller.account.id != lease.account_id:
        raise AccessDenied("there is no such key")
    if not caller.account.enabled:
        raise AccessDenied("the account is switched off")
    if not caller.key.usable(lease.reserved_at):
        raise AccessDenied("the key has ended")
    return caller


def bound_of(usage: Usage, price: Price) -> Bound:
    """What the usage comes to."""
    return Bound(usage.total_tokens, usage.cost(price))


def held_to(aside: Bound, asked: Bound) -> None:
    """ValueError where more is asked than is set aside."""
    if not asked.within(aside):
        raise ValueError(f"{asked} is over what is set aside, {aside}")
