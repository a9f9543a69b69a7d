"""Where a request's time goes: a clock read on both sides of every policy.

It stands in for `functions.edge.policies.follow` and does the same. A policy's own time is that between its
call and its return, less what it waited for the rest of the way. That costs a microsecond or so a policy;
the same request is measured without it beside.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from starlette.responses import Response

from functions.edge.exchange import Exchange, Policy, Proceed, Route


class Stopwatch:
    """`parts`: microseconds by the policy's name, a number for each request since it was emptied."""

    def __init__(self) -> None:
        self.parts: defaultdict[str, list[float]] = defaultdict(list)

    def with_rest(self, whole: Sequence[float]) -> dict[str, list[float]]:
        """The parts, and of each request's whole time what was in none of them. Empty where none was timed."""
        if not self.parts:
            return {}
        rest = [all_of_it - sum(parts) for all_of_it, *parts in zip(whole, *self.parts.values(), strict=True)]
        return {**self.parts, "rest": rest}

    async def follow(self, route: Route, exchange: Exchange) -> Response:
        """Lead the exchange through the route's policies to its answer."""
        proceed: Proceed = partial(route.answer, exchange)
        for policy in reversed(route.policies):
            proceed = partial(self._timed, policy, exchange, proceed)
        return await proceed()

    async def _timed(self, policy: Policy, exchange: Exchange, proceed: Proceed) -> Response:
        others = 0

        async def rest() -> Response:
            nonlocal others
            begun = time.perf_counter_ns()
            response = await proceed()
            others = time.perf_counter_ns() - begun
            return response

        begun = time.perf_counter_ns()
        response = await policy(exchange, rest)
        self.parts[policy.__name__].append((time.perf_counter_ns() - begun - others) / 1_000)
        return response
