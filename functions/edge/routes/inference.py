"""The routes that reach a GPU: `POST /v1/chat/completions`, `/v1/completions` and `/v1/embeddings`.

Each is behind every policy, and dispatch answers. They differ in what they take, of which models.
"""

from typing import Any

from pydantic import BaseModel
from starlette.responses import Response

from functions.edge.exchange import Exchange, Route
from functions.edge.openapi import request_body
from functions.edge.policies import POLICIES
from penstock import intakes
from penstock.intakes import Intake
from penstock.schemas import (
    ChatCompletion,
    ChatRequest,
    Completion,
    CompletionRequest,
    EmbeddingList,
    EmbeddingRequest,
)

_HEADERS = [
    {
        "name": "Penstock-Delivery",
        "in": "header",
        "description": "'direct' asks for a redirect (307) to the GPU, where the deployment allows it; 'relay' for "
        "none. Without it the deployment decides.",
        "schema": {"type": "string", "enum": ["relay", "direct"]},
    },
    {
        "name": "Idempotency-Key",
        "in": "header",
        "description": "The same key and body get the same answer again, and are billed once.",
        "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
    },
]
_STREAM: dict[str, Any] = {"content": {"text/event-stream": {}}}


async def _unreachable(_: Exchange) -> Response:
    raise AssertionError("dispatch answers")


def _route(intake: Intake, *, summary: str, request: type[BaseModel], answer: dict[str, Any]) -> Route:
    return Route(
        "POST",
        intake.path,
        _unreachable,
        group=intake.group,
        policies=POLICIES,
        intake=intake,
        summary=summary,
        openapi={**request_body(request), "parameters": _HEADERS},
        responses={200: answer, 307: {"description": "Direct delivery"}},
    )


ROUTES: tuple[Route, ...] = (
    _route(
        intakes.CHAT,
        summary="Answer a conversation, whole or as a stream.",
        request=ChatRequest,
        answer={"model": ChatCompletion, **_STREAM},
    ),
    _route(
        intakes.COMPLETIONS,
        summary="Go on with a text or several, whole or as a stream.",
        request=CompletionRequest,
        answer={"model": Completion, **_STREAM},
    ),
    _route(
        intakes.EMBEDDINGS,
        summary="Embed a text or several.",
        request=EmbeddingRequest,
        answer={"model": EmbeddingList},
    ),
)
