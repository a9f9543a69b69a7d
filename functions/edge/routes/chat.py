"""`POST /v1/chat/completions`."""

from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.policies import POLICIES
from penstock.schemas import ChatCompletion


async def _unreachable(_: Exchange) -> Response:
    raise AssertionError("dispatch answers")


COMPLETIONS = Route(
    "POST",
    "/v1/chat/completions",
    _unreachable,
    group="chat",
    policies=POLICIES,
    summary="Answer a conversation, whole or as a stream.",
    openapi={
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/ChatRequest"}}},
        },
        "parameters": [
            {
                "name": "Penstock-Delivery",
                "in": "header",
                "description": "'direct' asks for a redirect (307) to the GPU, where the deployment allows it.",
                "schema": {"type": "string", "enum": ["relay", "direct"]},
            },
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "The same key and body get the same answer again, and are billed once.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            },
        ],
    },
    responses={
        200: {"model": ChatCompletion, "content": {"text/event-stream": {}}},
        307: {"description": "Direct delivery"},
    },
)
