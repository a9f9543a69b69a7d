"""What there is to package: each deployable's entries, its lock, and what else goes into its zip.

The edge's zip is that of two functions, and that of batches of four, which differ in their handler alone. No zip
holds weights, the command line, the client or what is kept in SQLite.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Deployable:
    """One zip: `build/<name>.zip`."""

    name: str
    lock: str
    """infra/locks/<lock>.txt"""
    entries: tuple[str, ...]
    """The modules that are started; what they import comes along."""
    files: tuple[str, ...] = ()
    """Further files, by their path in the checkout and in the zip. A script among them stays one."""
    services: tuple[str, ...] = ("dynamodb", "s3", "ssm")
    """Those of AWS for which clients are made."""
    without: tuple[str, ...] = ("penstock.batches.sqlite", "penstock.ledger.sqlite")
    """Modules that are imported on a laptop only."""
    unused: tuple[str, ...] = ()
    """How the paths begin of what its wheels hold for others: nothing that is left imports it."""


EDGE = Deployable(
    "edge",
    lock="edge",
    entries=("functions.edge.handler", "functions.edge.streaming"),
    files=("penstock.toml", "functions/edge/stream"),
    unused=("aiohttp/web",),  # its servers
)
BATCH = Deployable(
    "batch",
    lock="batch",
    entries=(
        "functions.batch.dropped",
        "functions.batch.events",
        "functions.batch.queue",
        "functions.batch.schedule",
    ),
    files=("penstock.toml",),
    services=("dynamodb", "s3", "sns", "sqs", "ssm"),
)
DEPLOYABLES = (EDGE, BATCH)
