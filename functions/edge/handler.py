"""The edge on AWS Lambda: what API Gateway, a Function URL or a load balancer invokes.

Mangum buffers: an answer goes out when it is whole. `lifespan="off"`, since Mangum would otherwise run
start-up and shutdown around every single invocation; the app opens what it needs on first use. What a snapshot
of the process holds, and what becomes of it afterwards, is told in `snapshot`.

`streaming` runs the same app in Mangum's place, reads events with the same classes, and wakes the same `rest`.
"""

import asyncio
import gc
from typing import Any

gc.disable()  # what is imported stays: to look for garbage in it took an eighth of a cold start

from mangum.types import LambdaContext, LambdaEvent  # noqa: E402

from functions.edge.app import create_app  # noqa: E402
from functions.edge.buffered import Buffered  # noqa: E402
from functions.edge.runtime.event import HANDLERS  # noqa: E402
from functions.edge.snapshot import Rest  # noqa: E402

_app = create_app()
rest = Rest(_app.state.edge)


class Handler(Buffered):
    """Mangum as `buffered` has it; the edge is fresh though the process stood still since the last invocation."""

    def __call__(self, event: LambdaEvent, context: LambdaContext) -> dict[str, Any]:
        """Serve one invocation."""
        asyncio.get_event_loop().run_until_complete(rest.wake())
        return super().__call__(event, context)


handler = Handler(_app, lifespan="off", custom_handlers=[*HANDLERS])
rest.prime()
rest.register()
gc.freeze()  # nor is it looked through later
gc.enable()
