"""The gate: who may come in, told from the ticket alone, before anything of the request is read.

A ticket is checked for its signature, its time, its model, and whether this process has seen its lease
before. What other processes have seen is the ledger's to know: the claim stays the judge. No error here
says more of a ticket than that it is not valid, and none repeats it.
"""

import hmac
from collections.abc import Iterable
from urllib.parse import parse_qsl

from starlette.types import Scope

from penstock.errors import BodyTooLarge, Conflict, Forbidden, Unauthenticated
from penstock.ticket import CLOCK_SKEW, MAX_LENGTH, InvalidTicket, Ticket, TicketKeys, hash_body

MAX_SEEN = 100_000  # leases; the oldest is forgotten first, and then only the ledger knows it
MAX_QUERY = 2 * MAX_LENGTH  # bytes

_INVALID = "The ticket is not valid."


class Gate:
    """One process's gate, for the one model it serves."""

    def __init__(self, keys: TicketKeys, model: str) -> None:
        self._keys = keys
        self._model = model
        self._seen: dict[str, int] = {}  # a lease's id, and until when (ms) its ticket would be let in

    def admit(self, scope: Scope, now: int) -> Ticket:
        """The request's ticket, from now on seen. Raises Unauthenticated, Forbidden or Conflict."""
        ticket = self._verified(presented(scope), now)
        if ticket.lease.model != self._model:
            raise Forbidden("The ticket is for another model.", code="ticket_model_mismatch")
        self._see(ticket, now)
        return ticket

    def forget(self, lease_id: str) -> None:
        """Let the lease be presented again: nothing was done with it, and it is still open."""
        self._seen.pop(lease_id, None)

    def _verified(self, text: str, now: int) -> Ticket:
        try:
            return self._keys.verify(text, now=now)
        except InvalidTicket as error:
            expired = str(error) == "expired"
            raise Unauthenticated("The ticket has expired." if expired else _INVALID, code="invalid_ticket") from None

    def _see(self, ticket: Ticket, now: int) -> None:
        if ticket.lease.id in self._seen:
            raise Conflict("The ticket was used before; it is good for one generation.", code="ticket_used")
        self._seen[ticket.lease.id] = ticket.expires_at + CLOCK_SKEW
        # Tickets of one edge expire in the order they come, so the first are the ones to look at.
        while self._seen and (len(self._seen) > MAX_SEEN or next(iter(self._seen.values())) < now):
            del self._seen[next(iter(self._seen))]


def presented(scope: Scope) -> str:
    """The one ticket that came, in the header `Penstock-Ticket` or as the query parameter `ticket`."""
    tickets: list[str] = [value.decode("latin-1") for name, value in scope["headers"] if name == b"penstock-ticket"]
    tickets += _in_query(scope["query_string"])
    if not tickets:
        raise Unauthenticated("There is no ticket. Ask the edge: it gives one for each request.", code="invalid_ticket")
    if len(tickets) > 1:
        raise Unauthenticated("There must be one ticket, in the header or in the query.", code="invalid_ticket")
    return tickets[0]


def match(ticket: Ticket, body: bytes) -> None:
    """Check that the ticket was given for this body. Raises Forbidden."""
    if not hmac.compare_digest(ticket.body_hash.encode(), hash_body(body).encode()):
        raise Forbidden("The ticket is for another body.", code="ticket_body_mismatch")


def _in_query(query: bytes) -> Iterable[str]:
    if len(query) > MAX_QUERY:
        raise BodyTooLarge(f"The query is over {MAX_QUERY} bytes.")
    fields = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return [value for name, value in fields if name == "ticket"]
