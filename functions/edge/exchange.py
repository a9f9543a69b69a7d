"""One request on its way through the policies, and what each of them has found out about it."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from functions.edge.credentials import Credentials
from functions.edge.deadline import Deadline
from functions.edge.edge import Edge
from penstock.clock import now_ms
from penstock.intakes import Call, Intake
from penstock.ledger import Caller, Lease, LedgerUnavailable
from penstock.models import ServedModel
from penstock.trace import Trace

if TYPE_CHECKING:
    from functions.edge.attempt import Attempt


@dataclass(slots=True)
class Exchange:
    """A request with its context. A policy may read what the policies before it have set."""

    edge: Edge
    request: Request
    route: "Route"
    request_id: str
    facts: dict[str, Any]  # goes into the log line: ids and counts, never content
    trace: Trace  # that it belongs to, for whom it is passed on to
    deadline: Deadline | None  # by when it must be answered
    caller: Caller = field(init=False)  # set by authenticate
    body: bytes = field(init=False)  # set by validate, as are the next three
    call: Call = field(init=False)
    model: ServedModel = field(init=False)
    delivery: str = field(init=False)  # "relay" or "direct"
    attempt: "Attempt | None" = None  # set by recall, where the answer is to be kept
    credentials: Credentials = field(init=False)  # set by admit, as is the next
    lease: Lease = field(init=False)

    async def give_back(self) -> None:
        """Release the lease where the GPU process never took it up. Safe to call at any time.

        Where the ledger is away the lease ends by itself, at its deadline.
        """
        with suppress(LedgerUnavailable):
            ledger = await self.edge.ledger()
            await ledger.release(self.lease, now_ms())


Proceed = Callable[[], Awaitable[Response]]
Policy = Callable[[Exchange, Proceed], Awaitable[Response]]
Answer = Callable[[Exchange], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Route:
    """A resource: where it is, which policies stand before it, and who answers.

    `public` says why a route without policies may have none; the app does not start without a reason.
    """

    method: str
    path: str
    answer: Answer
    policies: tuple[Policy, ...] = ()
    group: str = ""  # of routes, which a key's scope may name
    intake: Intake | None = None  # where the request is validated
    public: str = ""
    summary: str = ""
    query: type[BaseModel] | None = None  # what its query is read into
    openapi: Mapping[str, Any] = field(default_factory=dict)
    responses: Mapping[int | str, dict[str, Any]] = field(default_factory=dict)
