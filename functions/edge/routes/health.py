"""`GET /health`: the process lives. `GET /health/ready`: it can take a request.

Neither needs a key, and neither reaches a GPU: nobody anonymous can wake one.
"""

from starlette.responses import JSONResponse, Response

from functions.edge.exchange import Exchange, Route


async def _health(_: Exchange) -> Response:
    return JSONResponse({"status": "ok"})


async def _ready(exchange: Exchange) -> Response:
    ledger = await exchange.edge.ledger()
    await ledger.schema_version()
    return JSONResponse({"status": "ready"})


_STATUS = {"content": {"application/json": {"schema": {"type": "object"}}}}

HEALTH = Route(
    "GET",
    "/health",
    _health,
    public="Load balancers have no key.",
    summary="Alive.",
    responses={200: _STATUS},
)
READY = Route(
    "GET",
    "/health/ready",
    _ready,
    public="Load balancers have no key.",
    summary="The ledger can be reached.",
    responses={200: _STATUS},
)
