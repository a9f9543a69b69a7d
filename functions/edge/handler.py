"""The edge on AWS Lambda: what API Gateway, a Function URL or a load balancer invokes.

Mangum buffers: an answer goes out when it is whole. `lifespan="off"`, since Mangum would otherwise run
start-up and shutdown around every single invocation; the app opens what it needs on first use.

`streaming` runs the same app in Mangum's place, and reads events with the same classes.
"""

from functions.edge.app import create_app
from functions.edge.buffered import Buffered
from functions.edge.lambda_event import HANDLERS

handler = Buffered(create_app(), lifespan="off", custom_handlers=[*HANDLERS])
