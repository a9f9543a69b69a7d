"""`GET /health` and `GET /health/ready`: whether the process lives, and whether it takes requests."""

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from functions.gpu.process import Process


class Health:
    """The two endpoints. They tell nothing that is not public."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def alive(self, _: Request) -> Response:
        """200 as long as anything answers."""
        return JSONResponse({"status": "ok"})

    async def ready(self, _: Request) -> Response:
        """200 with the model's name and context length. Raises Unavailable while no request is taken."""
        service = self._process.service()
        service.check()
        return JSONResponse(
            {
                "status": "ready",
                "model": service.model.name,
                "context_length": service.engine.context_length,
            }
        )
