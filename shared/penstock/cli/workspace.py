"""What the commands about a deployment on Modal have in common: their options, and one line for what goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.failure import Failure
from penstock.deploy.errors import DeployError
from penstock.models import ServedModel, read_models
from penstock.weights import WeightsError

Config = Annotated[
    Path, typer.Option("--config", metavar="FILE", envvar="PENSTOCK_CONFIG", help="The table of served models.")
]
Environment = Annotated[
    str | None,
    typer.Option("--environment", metavar="NAME", help="The environment of the Modal workspace (else Modal's own)."),
]
DEFAULT_CONFIG = Path("penstock.toml")


@contextmanager
def on_modal() -> Iterator[None]:
    """Errors of a workspace, or of weights, within become a Failure; so does it where modal is not installed."""
    try:
        yield
    except (DeployError, WeightsError) as error:
        raise Failure(str(error)) from error
    except ModuleNotFoundError as error:
        if error.name != "modal":
            raise
        raise Failure("modal is not installed: install penstock[modal]") from error


def named_model(config: Path, name: str) -> ServedModel:
    """A model of the table, by name or alias. Raises Failure, ConfigError."""
    table = read_models(config)
    model = table.get(name)
    if model is None:
        names = ", ".join(each.name for each in table.models)
        raise Failure(f"{name}: no model of {config} ({names})", exit_code=2)
    return model
