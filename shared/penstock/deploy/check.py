"""What of a deployment can be checked on this machine: its table, its models, the edge's settings.

Whether the code that is deployed builds is build.py's to check, what stands at Modal already online.py's. What nobody
here can know is listed all the same, with what has to be true.
"""

from collections.abc import Iterator
from pathlib import Path

from penstock.clock import now_ms
from penstock.deploy.finding import Finding, right, unknown, wrong
from penstock.deploy.folder import wanted_in
from penstock.deployment import CLASS_KINDS, Deployment, class_name
from penstock.gpu_urls import GpuUrls
from penstock.models import REPOSITORY, ConfigError, ModelTable, ServedModel, read_toml
from penstock.settings import EdgeSettings, read_settings
from penstock.weights import WeightsError

SECRET = ("PENSTOCK_LEDGER_URL", "PENSTOCK_TICKET_KEYS", "AWS_ROLE_ARN", "AWS_REGION")
HUB_SECRET = ("HF_TOKEN",)


def check_models(config: Path, models: tuple[ServedModel, ...]) -> Iterator[Finding]:
    """Each model's price, source and placement, and that no two share a class."""
    sources = {name: str(table["source"]) for name, table in read_toml(config)["models"].items()}
    for model in models:
        yield _price(model)
        yield _source(model, sources[model.name])
        yield _placement(model)
    yield _classes(models)


def check_unasked(deployment: Deployment, models: tuple[ServedModel, ...]) -> Iterator[Finding]:
    """What only Modal knows, and what has to be true of it."""
    for name, variables in secrets(deployment):
        values = " ".join(f"{variable}=..." for variable in variables)
        yield unknown(
            f"the secret {name} has {', '.join(variables)}",
            f"`modal secret create {name} {values}` where it is missing",
        )
    for model in models:
        yield unknown(
            f"{model.name}: its weights are on the Volume {deployment.volume}",
            f"`penstock weights pull {model.name}`{' once the app is deployed' if model.of_hub else ''}",
        )
    gpus = sorted({gpu for model in models for gpu in model.modal.gpu})
    if gpus:
        yield unknown(f"Modal has {', '.join(gpus)}, and the workspace may use them")


def check_edge(deployment: Deployment, models: ModelTable) -> Iterator[Finding]:
    """The edge's settings in this environment, and that they lead to every model."""
    try:
        settings = read_settings(EdgeSettings)
        GpuUrls.read("PENSTOCK_GPU_URL", settings.gpu_url, models)
    except ConfigError as error:
        yield wrong(f"the edge's settings: {error}", "`penstock deploy urls` prints PENSTOCK_GPU_URL")
        return
    yield right("the edge's settings are complete, and lead to every model")
    if deployment.delivery == "relay" and settings.gpu_key is None:
        yield wrong(
            "PENSTOCK_GPU_KEY and PENSTOCK_GPU_SECRET are not set, and Modal lets nobody in without them",
            "`modal workspace proxy-tokens create` gives both",
        )
    if deployment.delivery == "direct" and settings.gpu_public_url is None:
        yield wrong(
            "PENSTOCK_GPU_PUBLIC_URL is not set, so nothing is delivered directly", "set it as PENSTOCK_GPU_URL"
        )


def secrets(deployment: Deployment) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The deployment's secrets and the variables in each."""
    yield deployment.secret, SECRET
    if deployment.hub_secret is not None:
        yield deployment.hub_secret, HUB_SECRET


def _price(model: ServedModel) -> Finding:
    if (price := model.price_at(now_ms())) is not None:
        return right(f"{model.name}: a price is in force, of {price.version}")
    first = min(entry.effective for entry in model.prices)
    return wrong(f"{model.name}: no price is in force before {first}", "add one from a day that has come (UTC)")


def _source(model: ServedModel, written: str) -> Finding:
    if model.of_hub:
        return right(f"{model.name}: {model.source} at {model.revision}")
    if REPOSITORY.fullmatch(written):
        return wrong(
            f"{model.name}: {written} is a folder here, and where it is not, a repository of the hub",
            f"write ./{written}",
        )
    try:
        files = wanted_in(Path(model.source))
    except WeightsError as error:
        return wrong(f"{model.name}: {error}", "its weights are sent from this folder")
    return right(f"{model.name}: {len(files)} files in {model.source}")


def _placement(model: ServedModel) -> Finding:
    placement = model.modal
    where = " or ".join(placement.gpu) or "CPU only"
    least, most = placement.min_containers, placement.max_containers
    return right(
        f"{model.name}: {where}, {least} to {most} containers, {placement.max_running} answers at once in each"
    )


def _classes(models: tuple[ServedModel, ...]) -> Finding:
    names = [class_name(kind, model.name) for model in models for kind in CLASS_KINDS]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        return wrong(f"two models would be the class {twice[0]}", "rename one of them")
    return right(f"{len(names)} classes: {', '.join(names)}")
