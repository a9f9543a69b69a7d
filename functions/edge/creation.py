"""What making a file and making a batch have in common: how large a JSON body, how often, and what is answered."""

from pydantic import BaseModel
from starlette.responses import Response

from functions.edge.exchange import Exchange
from penstock.errors import RateLimited

MAX_BODY = 64 << 10  # bytes
HEADERS = [
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body get the same answer again, and nothing is made twice.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    }
]


def require_patience(exchange: Exchange) -> None:
    """Raises RateLimited where the key has made too much in the last minute."""
    if wait := exchange.edge.creations.take(exchange.caller.key.id):
        raise RateLimited(
            f"Too many files and batches were made with this API key. Try again in {wait} s.",
            code="too_many_creations",
            headers={"Retry-After": str(wait)},
        )


def answered(exchange: Exchange, subject: str, reply: BaseModel) -> Response:
    """The reply as JSON; the log's line names what it is about."""
    exchange.facts.update(subject=subject)
    return Response(reply.model_dump_json(), media_type="application/json")
