"""AWS's Systems Manager Parameter Store: the values of a few parameters, decrypted, in one request.

It asks for `ssm:GetParameters` on the parameters named, for `kms:Decrypt` where they are encrypted with a key
of one's own, and for `secretsmanager:GetSecretValue` where they refer to secrets of Secrets Manager.
https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
"""

import asyncio
from collections.abc import Iterable

from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError

from penstock import aws

MOST = 10  # names in one request, as many as SSM takes
PATIENCE = 10.0  # seconds, all tries together

_CONFIG = AioConfig(
    connect_timeout=2.0,
    read_timeout=3.0,
    max_pool_connections=1,
    # SSM asks its clients to come again after a throttle or an error of its own; "standard" does, with jitter.
    retries={"total_max_attempts": 4, "mode": "standard"},
)


class ParametersUnavailable(Exception):
    """The parameters cannot be read: one line that says why, and never holds a value."""


async def read_parameters(names: Iterable[str]) -> dict[str, str]:
    """The values by name, of MOST names at most. Raises ParametersUnavailable.

    With a client of its own: the next reading is minutes away, and may be after a snapshot or a long sleep.
    """
    wanted = sorted(set(names))
    try:
        async with asyncio.timeout(PATIENCE), aws.client("ssm", _CONFIG) as client:
            answer = await client.get_parameters(Names=wanted, WithDecryption=True)
    except TimeoutError:  # which is an OSError, too
        raise ParametersUnavailable(f"SSM did not answer for {PATIENCE:g} seconds") from None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        # Not `from error`: what SSM sent may hold anything.
        raise ParametersUnavailable(_explained(error)) from None
    found = {one["Name"]: str(one["Value"]) for one in answer["Parameters"]}
    if missing := [name for name in wanted if name not in found]:
        raise ParametersUnavailable(f"SSM has no parameter {', '.join(missing)}")
    return found


async def prime() -> None:
    """Load what a reading takes, and read nothing. Raises ParametersUnavailable where the configuration is wrong."""
    try:
        await aws.prime("ssm")
    except (BotoCoreError, ValueError) as error:
        raise ParametersUnavailable(_explained(error)) from None


def _explained(error: Exception) -> str:
    """AWS's own words, in one line: they name the action, the caller and the resource."""
    said = " ".join(str(error).split())
    return f"SSM: {said}" if isinstance(error, ClientError) else f"SSM cannot be asked: {said}"
