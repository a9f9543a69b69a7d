"""`penstock weights`: the weights on the deployment's Volume. Pulled, listed, removed."""

from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.failure import Failure
from penstock.cli.output import print_table, short_time
from penstock.cli.progress import show, size
from penstock.cli.workspace import DEFAULT_CONFIG, Config, Environment, named_model, on_modal
from penstock.clock import SECOND
from penstock.deployment import Deployment, read_deployment
from penstock.models import ServedModel, read_models

app = typer.Typer(help="Put the models' weights where the deployment on Modal loads them from.", no_args_is_help=True)


@app.command()
def pull(
    model: Annotated[
        str | None, typer.Argument(metavar="[MODEL]", help="A model of the table (default: all of them).")
    ] = None,
    *,
    config: Config = DEFAULT_CONFIG,
    environment: Environment = None,
) -> None:
    """Fetch a repository's weights onto the Volume, or send a folder's. What is there is left alone."""
    wanted = read_models(config).models if model is None else (named_model(config, model),)
    deployment = read_deployment(config)
    for each in wanted:
        _pull(each, deployment, environment)
        typer.echo(f"The weights of {each.name} are on the Volume {deployment.volume}.")


def _pull(model: ServedModel, deployment: Deployment, environment: str | None) -> None:
    with on_modal():
        from penstock.deploy.pull import pull as pull_repository  # noqa: PLC0415 (needs modal)
        from penstock.deploy.volume import WeightsVolume  # noqa: PLC0415

        if model.of_hub:
            show(pull_repository(deployment.app, model, environment))
        else:
            show(WeightsVolume(deployment.volume, environment).send(model, Path(model.source)))


@app.command(name="list")
def list_weights(*, config: Config = DEFAULT_CONFIG, environment: Environment = None) -> None:
    """Show what is on the Volume, and which of it the table serves."""
    deployment, models = read_deployment(config), read_models(config).models
    with on_modal():
        from penstock.deploy.volume import WeightsVolume  # noqa: PLC0415 (needs modal)

        volume = WeightsVolume(deployment.volume, environment)
        found = volume.everything()
        served = [volume.served(model) for model in models]
    rows = [
        (
            each.model,
            each.source,
            each.revision,
            size(each.total),
            short_time(int(each.pulled_at.timestamp()) * SECOND),
            "yes" if each in served else "",
        )
        for each in found
    ]
    print_table(("model", "source", "revision", "size", "pulled", "served"), rows, numbers=("revision", "size"))


@app.command()
def remove(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A model, in the table or no longer.")],
    *,
    revision: Annotated[
        str | None, typer.Option("--revision", metavar="REVISION", help="This one alone (default: all of the model's).")
    ] = None,
    config: Config = DEFAULT_CONFIG,
    environment: Environment = None,
) -> None:
    """Remove a model's weights from the Volume."""
    deployment = read_deployment(config)
    with on_modal():
        from penstock.deploy.volume import WeightsVolume  # noqa: PLC0415 (needs modal)

        removed = WeightsVolume(deployment.volume, environment).remove(model, revision)
    if not removed:
        raise Failure(f"no weights of {model}{f' at {revision}' if revision else ''} are on {deployment.volume}")
    for each in removed:
        typer.echo(f"removed {model} at {each}")
