"""What the app may know of its invocation: the scope's `aws.context`, as AWS's own runtime for Python has it.

A caller's client context and identity are left out: they come from invocations by AWS's mobile SDK alone.
"""

import os
from dataclasses import dataclass

from functions.edge.runtime.api import Given
from penstock.clock import now_ms


@dataclass(frozen=True, slots=True)
class LambdaContext:
    """The invocation's id, the function that is invoked, and the time that is left."""

    aws_request_id: str
    invoked_function_arn: str
    deadline: int  # milliseconds since the epoch
    function_name: str
    function_version: str
    memory_limit_in_mb: int
    log_group_name: str
    log_stream_name: str

    @classmethod
    def of(cls, given: Given) -> "LambdaContext":
        """The invocation's, with what the environment says of the function."""
        return cls(
            aws_request_id=given.request_id,
            invoked_function_arn=given.function_arn,
            deadline=given.deadline,
            function_name=os.environ.get("AWS_LAMBDA_FUNCTION_NAME", ""),
            function_version=os.environ.get("AWS_LAMBDA_FUNCTION_VERSION", ""),
            memory_limit_in_mb=int(os.environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "0")),
            log_group_name=os.environ.get("AWS_LAMBDA_LOG_GROUP_NAME", ""),
            log_stream_name=os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", ""),
        )

    def get_remaining_time_in_millis(self) -> int:
        """The milliseconds until Lambda ends the invocation, and 0 from then on."""
        return max(self.deadline - now_ms(), 0)
