"""AWS's client: a session for whoever asks an AWS service, with what is dear to read shared by all of them.

Where a service is and who we are comes from the standard AWS configuration: AWS_REGION, AWS_ENDPOINT_URL, the
chain of credentials. One client for the life of a process, used from one event loop.
"""

import os
from contextlib import AbstractAsyncContextManager
from functools import cache
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session


def client(service: str, config: AioConfig, **given: Any) -> AbstractAsyncContextManager[Any]:
    """A client of the service, which sends nothing yet. Entering it raises BotoCoreError or ValueError.

    `given` is what `create_client` takes, in place of what the configuration says.
    """
    session = get_session()
    session.register_component("data_loader", _models())
    # botocore knows AWS_DEFAULT_REGION; AWS_REGION is what AWS's other SDKs, and Lambda, say.
    made: AbstractAsyncContextManager[Any] = session.create_client(
        service, region_name=os.environ.get("AWS_REGION"), config=config, **given
    )
    return made


async def prime(service: str) -> None:
    """Read what clients of the service are made from, so that the first is made fast.

    Sends nothing, and looks for no credentials: what a process knows when a snapshot of it is taken, all that are
    restored from it know.
    """
    nobody = {"aws_access_key_id": "nobody", "aws_secret_access_key": "nobody"}
    async with client(service, AioConfig(), **nobody):
        pass


@cache
def _models() -> Any:
    """AWS's own description of its services, read once: that takes longer than making a client."""
    return get_session().get_component("data_loader")
