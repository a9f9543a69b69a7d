"""The edge's policies, in their one order. A route has the first few of them, or all.

Each is a function of the exchange and of `proceed`, the rest of the way. They only map to HTTP: what is
allowed is decided by `penstock.entitlement`, `penstock.intakes`, `penstock.admission` and the ledger.
"""

from functools import partial

from starlette.responses import Response

from functions.edge.exchange import Exchange, Policy, Proceed, Route
from functions.edge.policies.admit import admit
from functions.edge.policies.authenticate import authenticate
from functions.edge.policies.dispatch import dispatch
from functions.edge.policies.recall import recall
from functions.edge.policies.validate import validate

POLICIES: tuple[Policy, ...] = (
    authenticate,  # who calls?
    validate,  # is it a request that we can honour?
    recall,  # was it answered before, under its Idempotency-Key?
    admit,  # is there room for it within the limits? reserves
    dispatch,  # to the GPU process, relayed or by redirect
)

__all__ = ["POLICIES", "check", "follow"]


def check(route: Route) -> None:
    """Default deny: raises ValueError for a route that skips or reorders policies, or has none unsaid."""
    if route.policies != POLICIES[: len(route.policies)]:
        raise ValueError(f"{route.method} {route.path}: its policies are not the first of POLICIES")
    if bool(route.policies) == bool(route.public):
        raise ValueError(f"{route.method} {route.path}: has policies, or a reason to be public, and not both")
    if bool(route.policies) != bool(route.group):
        raise ValueError(
            f"{route.method} {route.path}: belongs to a group of routes where it has policies, and only there"
        )
    if (validate in route.policies) != (route.intake is not None):
        raise ValueError(f"{route.method} {route.path}: says what it takes where that is validated, and only there")


async def follow(route: Route, exchange: Exchange) -> Response:
    """Lead the exchange through the route's policies to its answer."""
    proceed: Proceed = partial(route.answer, exchange)
    for policy in reversed(route.policies):
        proceed = partial(policy, exchange, proceed)
    return await proceed()
