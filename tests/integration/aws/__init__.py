"""What `serverless.yml` describes, deployed by `osls` into an account on this machine, and called over HTTP.

API Gateway, Lambda with the real zips, DynamoDB, SSM, the schedule and the roles are ministack's; the GPU process is
the one of the laptop. It shows that the parts fit, through Mangum. It does not show streaming: the emulator buffers
every answer, so the stage `emulator` keeps its generations on `edge`, and chunks come all at once. What streams is
proven in tests/integration/edge, and what the emulator is not is said in tests/servers/README.md.
"""
