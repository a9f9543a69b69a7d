"""What stands at Modal already, of what a deployment needs: asked, and changed in nothing."""

from collections.abc import Iterator
from pathlib import Path

from penstock.deploy.check import secrets
from penstock.deploy.errors import DeployError, NotThere
from penstock.deploy.finding import Finding, right, wrong
from penstock.deploy.folder import described, wanted_in
from penstock.deploy.volume import WeightsVolume
from penstock.deploy.workspace import gate_url, require_secret
from penstock.deployment import Deployment, class_name
from penstock.models import ServedModel
from penstock.weights import WeightsError, revision_of


def check_online(deployment: Deployment, models: tuple[ServedModel, ...], environment: str | None) -> Iterator[Finding]:
    """The secrets, the deployed servers and the weights. Stops at what cannot be asked at all."""
    try:
        for name, variables in secrets(deployment):
            yield _secret(name, variables, environment)
        for model in models:
            yield _gate(deployment, model, environment)
        volume = WeightsVolume(deployment.volume, environment)
        for model in models:
            yield _weights(volume, model)
    except DeployError as error:
        yield wrong(f"the workspace cannot be asked: {error}")


def _secret(name: str, variables: tuple[str, ...], environment: str | None) -> Finding:
    try:
        require_secret(name, list(variables), environment)
    except NotThere as error:
        values = " ".join(f"{variable}=..." for variable in variables)
        return wrong(f"the secret {name}: {error}", f"`modal secret create {name} {values}`")
    return right(f"the secret {name} has {', '.join(variables)}")


def _gate(deployment: Deployment, model: ServedModel, environment: str | None) -> Finding:
    try:
        url = gate_url(deployment.app, class_name("Gate", model.name), environment)
    except NotThere:
        return wrong(f"{model.name}: is not deployed", "`modal deploy -m functions.gpu.modal_app`")
    return right(f"{model.name}: is deployed, at {url}")


def _weights(volume: WeightsVolume, model: ServedModel) -> Finding:
    mend = f"`penstock weights pull {model.name}`"
    manifest = volume.served(model)
    if manifest is None:
        return wrong(f"{model.name}: its weights are not on the Volume", mend)
    try:
        here = None if model.of_hub else revision_of(described(file) for file in wanted_in(Path(model.source)))
    except (WeightsError, OSError) as error:
        return wrong(f"{model.name}: {error}", "its weights are sent from this folder")
    if here is not None and here != manifest.revision:
        return wrong(f"{model.name}: its weights on the Volume are not those of {model.source}", mend)
    return right(f"{model.name}: its weights are on the Volume, at {manifest.revision}")
