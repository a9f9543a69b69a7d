"""AWS's blocking client, for what is asked once in a while: queues and topics. Called in threads.

Where a service is and who we are comes from the standard AWS configuration: AWS_REGION, AWS_ENDPOINT_URL, the chain of
credentials.
"""

import os
from typing import Any

import boto3
from botocore.config import Config

_CONFIG = Config(
    connect_timeout=3.0,
    read_timeout=10.0,
    retries={"total_max_attempts": 4, "mode": "standard"},
)


def client(service: str) -> Any:
    """A client of the service, for any number of threads. Raises BotoCoreError."""
    return boto3.session.Session().client(service, region_name=os.environ.get("AWS_REGION"), config=_CONFIG)
