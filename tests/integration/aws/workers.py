"""The GPU half of a deployed stack, as batches need it: workers at a local control plane of Modal's.

The functions find it by the address that is added to their environment, and by the token that is kept as a secret of
the stage. Containers come to the table and the bucket with the role of docs/deploy.md.
"""

import json
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from tests.control_plane.running import ControlPlane, control_plane
from tests.integration.aws.account import aws
from tests.integration.aws.deployment import PENSTOCK, Deployment, put_secret
from tests.integration.aws.stack import ROOT
from tests.integration.gpu.stand import TICKET_KEYS

ACCOUNT = "000000000000"
REGION = "us-east-1"
ROLE = "penstock-gpu"
ISSUER = "oidc.modal.com"
CALLS_MODAL = ("batch", "queue", "reconciler")


@contextmanager
def workers(deployment: Deployment, folder: Path) -> Iterator[ControlPlane]:
    """The app, deployed with the checkout's table of models, and reached by the functions."""
    url = os.environ["AWS_ENDPOINT_URL"]
    port = urlsplit(url).port
    assert port is not None
    _make_role(deployment)
    with control_plane(folder, reach=[port]) as plane:
        plane.set_secret(
            "penstock-gpu",
            {
                "PENSTOCK_LEDGER_URL": deployment.ledger,
                "PENSTOCK_OBJECTS_URL": f"s3://{deployment.stack.outputs()['BatchBucket']}",
                "PENSTOCK_TICKET_KEYS": TICKET_KEYS,
                "AWS_ROLE_ARN": f"arn:aws:iam::{ACCOUNT}:role/{ROLE}",
                "AWS_REGION": REGION,
                "AWS_ENDPOINT_URL": url,
            },
        )
        plane.modal("deploy", "-m", "functions.gpu.modal_app")
        _pull_weights(plane)
        put_secret("modal-token-id", plane.environment["MODAL_TOKEN_ID"])
        put_secret("modal-token-secret", plane.environment["MODAL_TOKEN_SECRET"])
        for name in CALLS_MODAL:
            _lead_to(plane, deployment, name)
        yield plane
        plane.check()


def _make_role(deployment: Deployment) -> None:
    """With the rights that docs/deploy.md gives it, for this stage."""
    provider = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER}"
    aws("iam", "create_open_id_connect_provider", Url=f"https://{ISSUER}", ClientIDList=[ISSUER])
    trusted = {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": "sts:AssumeRoleWithWebIdentity"}
    trust = json.dumps({"Version": "2012-10-17", "Statement": [trusted]})
    aws("iam", "create_role", RoleName=ROLE, AssumeRolePolicyDocument=trust)
    documents = re.findall(r"```json\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8"), re.DOTALL)
    (rights,) = [document for document in documents if "table/penstock-production" in document]
    for said, here in (("ACCOUNT_ID", ACCOUNT), ("REGION", REGION), ("production", deployment.stack.stage)):
        rights = rights.replace(said, here)
    aws("iam", "put_role_policy", RoleName=ROLE, PolicyName="rights", PolicyDocument=rights)


def _pull_weights(plane: ControlPlane) -> None:
    done = subprocess.run(
        [str(PENSTOCK), "weights", "pull", "demo"],
        cwd=ROOT,
        env={**os.environ, **plane.environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}{plane.logs()}"


def _lead_to(plane: ControlPlane, deployment: Deployment, name: str) -> None:
    """Have a function find the control plane, as Modal's client finds Modal without being told."""
    variables = deployment.stack.configuration(name)["Configuration"]["Environment"]["Variables"]
    led = {**variables, "MODAL_SERVER_URL": plane.environment["MODAL_SERVER_URL"], "MODAL_ENVIRONMENT": "main"}
    aws(
        "lambda",
        "update_function_configuration",
        FunctionName=deployment.stack.function(name),
        Environment={"Variables": led},
    )
