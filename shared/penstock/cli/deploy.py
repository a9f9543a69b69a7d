"""`penstock deploy`: what a deployment on Modal lacks, and where its models are. `modal deploy` deploys it."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

import typer

from penstock.cli.output import print_json
from penstock.cli.workspace import DEFAULT_CONFIG, Config, Environment, on_modal
from penstock.deploy.finding import Finding, right, wrong
from penstock.deployment import class_name, read_deployment
from penstock.models import ConfigError, read_models

app = typer.Typer(help="Check the deployment on Modal, and show its addresses.", no_args_is_help=True)

_MARKS = {"right": "✓", "wrong": "✗", "unknown": "?"}


@app.command()
def check(
    *,
    config: Config = DEFAULT_CONFIG,
    environment: Environment = None,
    online: Annotated[bool, typer.Option("--online", help="Ask Modal as well; needs its token.")] = False,
    edge: Annotated[
        bool, typer.Option("--edge", help="Check the edge's settings in this environment as well.")
    ] = False,
) -> None:
    """Say what is right, what is wrong, and what cannot be told from here. Exit code 1 where something is wrong."""
    with on_modal():
        counts = _print(_findings(config, environment, online=online, edge=edge))
    typer.echo(f"{counts['right']} right, {counts['wrong']} wrong, {counts['unknown']} that only Modal can tell.")
    if counts["wrong"]:
        raise typer.Exit(1)


@app.command()
def urls(*, config: Config = DEFAULT_CONFIG, environment: Environment = None) -> None:
    """Print the URL of each deployed model as one JSON object, as PENSTOCK_GPU_URL takes it."""
    deployment, models = read_deployment(config), read_models(config).models
    with on_modal():
        from penstock.deploy.workspace import gate_url  # noqa: PLC0415 (needs modal)

        print_json(
            {model.name: gate_url(deployment.app, class_name("Gate", model.name), environment) for model in models}
        )


def _findings(config: Path, environment: str | None, *, online: bool, edge: bool) -> Iterator[Finding]:
    from penstock.deploy.build import check_build  # noqa: PLC0415 (not for `penstock --help`)
    from penstock.deploy.check import check_edge, check_models, check_unasked  # noqa: PLC0415

    try:
        table, deployment = read_models(config), read_deployment(config)
    except ConfigError as error:
        yield wrong(str(error))
        return
    models = table.models
    yield right(f"{config}: {len(models)} {'model' if len(models) == 1 else 'models'}, the app {deployment.app}")
    yield from check_models(config, models)
    yield from check_build(config, models)
    if edge:
        yield from check_edge(deployment, table)
    if online:
        from penstock.deploy.online import check_online  # noqa: PLC0415 (needs modal)

        yield from check_online(deployment, models, environment)
    else:
        yield from check_unasked(deployment, models)


def _print(findings: Iterable[Finding]) -> dict[str, int]:
    """Print each finding as it comes; how many there were of each kind."""
    counts = dict.fromkeys(_MARKS, 0)
    for finding in findings:
        counts[finding.state] += 1
        cannot = "cannot be checked without an account: " if finding.state == "unknown" else ""
        typer.echo(f"{_MARKS[finding.state]} {cannot}{finding.what}")
        if finding.mend:
            typer.echo(f"    {finding.mend}")
    return counts
