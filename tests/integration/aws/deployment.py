"""Penstock as it is deployed: a stack in an account, the GPU process beside it, and who administers it.

client ─► API Gateway ─► Lambda (Mangum, the edge) ─► GPU process
                                  └─────► DynamoDB ◄─────┘
"""

import base64
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
from openai import OpenAI

from tests.integration.aws.account import aws
from tests.integration.aws.stack import ROOT, Stack
from tests.integration.gpu.stand import TICKET_KEYS
from tests.servers.environment import environment, lead_to
from tests.servers.ministack import account
from tests.servers.process import listening, serving, url_of

PENSTOCK = Path(sys.executable).with_name("penstock")
GPU = "GPU"
GPU_LOG = "gpu.log"
LOG_SHOWN = 4_000  # characters of each
PATIENCE_S = 90.0  # a busy machine starts torch slowly
NEXT_TICKET_KEY = "next:" + base64.b64encode(b"thirty-two bytes more, for later").decode()
SECRETS = {"ticket-keys": TICKET_KEYS, "gpu-key": "wk-half-of-a-proxy-token", "gpu-secret": "ws-the-other-half-of-it"}

# As uvicorn serves it under `penstock serve`: on a socket that it is given.
GPU_PROCESS = """
import socket, sys, uvicorn
config = uvicorn.Config("functions.gpu.server:create_app", factory=True, lifespan="on", access_log=False)
uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
"""


@dataclass(frozen=True)
class Deployment:
    """A deployed stack, where its GPU process is, and a key that may administer it."""

    stack: Stack
    url: str
    gpu_url: str
    admin_key: str

    @property
    def ledger(self) -> str:
        """The ledger's URL."""
        return f"dynamodb://{self.stack.table()}"

    def penstock(self, *arguments: str) -> str:
        """What `penstock` writes, on this ledger."""
        return penstock(self.ledger, *arguments)

    def client(self, key: str, **options: Any) -> OpenAI:
        """OpenAI's client of the API. It does not retry, so that a test sees every error."""
        return OpenAI(base_url=f"{self.url}/v1", api_key=key, **{"max_retries": 0, "timeout": PATIENCE_S, **options})

    def call(self, method: str, path: str, key: str | None = None, **options: Any) -> httpx2.Response:
        """The API's answer to a request of any kind."""
        headers = {**({} if key is None else {"Authorization": f"Bearer {key}"}), **options.pop("headers", {})}
        return httpx2.request(
            method, f"{self.url}{path}", headers=headers, timeout=PATIENCE_S, trust_env=False, **options
        )

    def administer(self, method: str, path: str, body: object = None) -> Any:
        """What an admin route answers to what it has done."""
        answer = self.call(method, f"/admin/v1{path}", self.admin_key, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def account(self, **limits: object) -> str:
        """A new account, by its id."""
        name = f"acme-{uuid4().hex}"
        self.administer("POST", "/accounts", {"id": name, "name": "Acme", "limits": limits})
        return name

    def key(self, account: str | None = None, **fields: object) -> str:
        """A new key of the account, or of one of its own, in clear."""
        made = self.administer("POST", "/keys", {"account": account or self.account(), **fields})
        key: str = made["key"]
        return key

    def logs(self) -> str:
        """The end of what the functions and the GPU process wrote."""
        functions = [f"{name}:\n{self.stack.log(name)[-LOG_SHOWN:]}" for name in ("edge", "reconciler")]
        return "\n".join([*functions, f"GPU process:\n{(self.stack.folder / GPU_LOG).read_text()[-LOG_SHOWN:]}"])


@contextmanager
def deployed(folder: Path, build: Path, **parameters: str) -> Iterator[Deployment]:
    """An account with the stage `emulator` in it, for as long as the block runs. `build` has the zips.

    This process is led to the account meanwhile, as its owner. A parameter which is `GPU` becomes the URL of the GPU
    process.
    """
    with account(folder) as aws_url, pytest.MonkeyPatch.context() as patch, listening() as listener:
        lead_to(aws_url, patch)
        for name, value in SECRETS.items():
            put_secret(name, value)
        gpu_url = url_of(listener)
        given = {"build": str(build), "gpuUrl": GPU, **parameters}
        stack = Stack("emulator", folder, {name: gpu_url if value == GPU else value for name, value in given.items()})
        stack.deploy()
        ledger = f"dynamodb://{stack.table()}"
        let_functions_do_what_aws_lets_them(stack)
        with _gpu_process(folder / GPU_LOG, listener, {**environment(aws_url), "PENSTOCK_LEDGER_URL": ledger}):
            admin_key = json.loads(penstock(ledger, "keys", "create", "--admin", "--json"))["key"]
            yield Deployment(stack, stack.url(), gpu_url, admin_key)


def put_secret(name: str, value: str) -> None:
    """Keep a secret of the stage where the edge looks for it."""
    where = f"/penstock/emulator/{name}"
    aws("ssm", "put_parameter", Name=where, Value=value, Type="SecureString", Overwrite=True)


def let_functions_do_what_aws_lets_them(stack: Stack) -> None:
    """Give the stack's roles the rights that ministack asks for and AWS does not.

    To read any parameter, where AWS asks for each one named; to send several messages, where AWS asks for the right to
    send one. And it is reached without TLS, which the bucket's policy denies.
    """
    statement = {"Effect": "Allow", "Action": ["ssm:GetParameters", "sqs:SendMessageBatch"], "Resource": "*"}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    for role in stack.resources("AWS::IAM::Role").values():
        aws("iam", "put_role_policy", RoleName=role, PolicyName="ministack", PolicyDocument=policy)
    aws("s3", "delete_bucket_policy", Bucket=stack.outputs()["BatchBucket"])


def penstock(ledger: str, *arguments: str) -> str:
    """What `penstock` writes, on a ledger. Raises AssertionError where it fails."""
    command = [str(PENSTOCK), *arguments, "--ledger", ledger]
    done = subprocess.run(command, env=os.environ, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
    return done.stdout


@contextmanager
def _gpu_process(output: Path, listener: socket.socket, led: Mapping[str, str]) -> Iterator[None]:
    """The one of the laptop, with the demo model, ready."""
    settings = {
        "PENSTOCK_TICKET_KEYS": f"{TICKET_KEYS},{NEXT_TICKET_KEY}",  # it takes tickets of both, before a rotation
        "PENSTOCK_CONFIG": str(ROOT / "penstock.toml"),
        "PENSTOCK_MODEL": "demo",
        "PENSTOCK_THREADS": "1",
        "OMP_NUM_THREADS": "1",
        "PENSTOCK_EXPIRE_EVERY_S": "0",  # dead leases are the reconciler's
    }
    with serving(
        lambda listen: [sys.executable, "-c", GPU_PROCESS, str(listen)],
        output,
        health="/health/ready",
        environment={**settings, **led},
        start_s=PATIENCE_S,
        on=listener,
    ):
        yield
