"""The peer: FastAPI and Mangum with nothing of ours. It reads a JSON body and sends it back."""

from typing import Any

from fastapi import FastAPI
from mangum import Mangum

app = FastAPI()


@app.post("/v1/chat/completions")
async def echo(body: dict[str, Any]) -> dict[str, Any]:
    """The body, parsed and written again."""
    return body


handler = Mangum(app, lifespan="off")
