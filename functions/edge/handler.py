"""The edge on AWS Lambda: what API Gateway, a Function URL or a load balancer invokes.

Mangum buffers: an answer goes out when it is whole. `lifespan="off"`, since Mangum would otherwise run
start-up and shutdown around every single invocation; the app opens what it needs on first use.
"""

from mangum import Mangum

from functions.edge.app import create_app

handler = Mangum(create_app(), lifespan="off")
