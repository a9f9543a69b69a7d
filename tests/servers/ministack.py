"""ministack: AWS on this machine, in memory. Most tests use its DynamoDB, some its S3, its SSM, and its STS for roles.

A whole `account` is there for what is deployed into one: functions run as processes of ministack's own interpreter,
find it by `AWS_ENDPOINT_URL`, and may do what their roles allow and no more. They are in its process group, and end
with it. Where it is not AWS: README.md.

It lives in an environment of its own (see `install`), since it pins another botocore than ours.
"""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from tests.servers.process import serving

PYTHON = Path(__file__).parents[2] / ".venv" / "servers" / "bin" / "python"
LEDGER = ("dynamodb", "s3", "ssm", "sts")
# What `osls` (`ecr`, in which it looks for images to remove) and our stack use.
STACK = (
    *LEDGER,
    "acm",
    "apigateway",
    "cloudformation",
    "ecr",
    "events",
    "iam",
    "kms",
    "lambda",
    "logs",
    "monitoring",
    "route53",
    "scheduler",
    "secretsmanager",
    "sns",
    "sqs",
    "ssm",
    "wafv2",
)


def ministack(folder: Path) -> AbstractContextManager[str]:
    """Run it for ledgers and objects; the context's value is its URL. What it writes, its log too, goes to `folder`."""
    return _serving(folder, {"SERVICES": ",".join(LEDGER)})


def account(folder: Path) -> AbstractContextManager[str]:
    """The same with all that a stack needs; who has no right to do a thing is refused. The key `test` has them all."""
    return _serving(folder, {"SERVICES": ",".join(STACK), "AUTH": "true"})


@contextmanager
def _serving(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    assert PYTHON.exists(), "ministack is not installed: run tests/install"

    def command(listen: int) -> list[str]:
        # It leads its functions to the port that it is told: it does not look at the socket which it is given.
        with socket.socket(fileno=os.dup(listen)) as listener:
            port = listener.getsockname()[1]
        server = [str(PYTHON), "-m", "hypercorn", "ministack.app:app", "--bind", f"fd://{listen}"]
        return ["env", f"GATEWAY_PORT={port}", *server]

    environment = {
        "IOT_MTLS_ENABLED": "0",  # would listen on a port of its own
        "LOG_LEVEL": "WARNING",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        **settings,
    }
    with serving(command, folder / "ministack.log", health="/health", environment=environment) as url:
        yield url
