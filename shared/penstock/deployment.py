"""The deployment on Modal: the `[deployment]` table of `penstock.toml`, and what its classes are called.

It names what stands in the operator's Modal workspace: the app, the Volume of the weights, the secrets. A
model's own containers are its Placement. No secret's value is in the table.
"""

import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from penstock.models import ConfigError, read_toml
from penstock.placement import Region

# Modal's own rule: letters, digits, dashes, dots and underscores, at most 64.
ObjectName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
ClassKind = Literal["Gate", "Generator", "Worker"]
CLASS_KINDS: tuple[ClassKind, ...] = get_args(ClassKind)

DESK = "Desk"  # the class that answers what needs no GPU
LONGEST_CLASS_NAME = 60  # Modal takes 64
_HASH_DIGITS = 6
# Its own class name: a URL keeps no capitals, and no name may pass for another one with its hash.
_PLAIN = re.compile(r"(?!.*_[0-9a-f]{6}$)[a-z0-9_]{1,40}")


class Deployment(BaseModel):
    """What all the models share."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    app: ObjectName = "penstock"
    volume: ObjectName = Field(default="penstock-weights", description="Holds the weights.")
    secret: ObjectName = Field(
        default="penstock-gpu",
        description="Modal's secret with PENSTOCK_LEDGER_URL, PENSTOCK_TICKET_KEYS, AWS_ROLE_ARN and AWS_REGION.",
    )
    hub_secret: ObjectName | None = Field(
        default=None, description="Modal's secret with HF_TOKEN, for weights that are not public; only pulls see it."
    )
    # relay: Modal lets in whoever has its proxy token, which is the edge. direct: the ticket alone decides.
    delivery: Literal["relay", "direct"] = "relay"
    region: Region = Field(default="us-east", description="Where requests enter.")


def read_deployment(path: Path) -> Deployment:
    """The `[deployment]` table in `path`, or what holds where it has none. Raises ConfigError."""
    try:
        return Deployment.model_validate(read_toml(path).get("deployment", {}))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("deployment", *first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error


def class_name(kind: ClassKind, model: str) -> str:
    """The Python name of a model's class on Modal: `Gate_demo`, `Gate_Qwen_Qwen3_0_6B_1f2e3d`.

    It is what the deployed class is found by, so it never changes. A name that is not plain carries a hash, by
    which two models that differ in a dash or a capital are two classes.
    """
    if _PLAIN.fullmatch(model):
        return f"{kind}_{model}"
    tail = sha256(model.encode()).hexdigest()[:_HASH_DIGITS]
    stem = re.sub(r"[^A-Za-z0-9_]", "_", model)[: LONGEST_CLASS_NAME - len(kind) - _HASH_DIGITS - 2]
    return f"{kind}_{stem}_{tail}"
