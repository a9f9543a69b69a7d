"""A repository's weights, fetched by the deployed app: no byte of them passes through this machine."""

from collections.abc import Iterator

import modal

from penstock.deploy.errors import DeployError, NotThere
from penstock.deploy.workspace import asking
from penstock.models import ServedModel
from penstock.weights import Progress

FUNCTION = "pull_weights"


def pull(app: str, model: ServedModel, environment: str | None = None) -> Iterator[Progress]:
    """Have a model's weights pulled, and tell how far that is. It goes on where nobody listens.

    The app that is deployed may serve another revision, or know nothing of the model yet. Raises DeployError, and
    what the app raises: WeightsError.
    """
    function = modal.Function.from_name(app, FUNCTION, environment_name=environment)
    try:
        with asking():
            yield from function.remote_gen(model.model_dump_json())
    except NotThere as error:
        raise DeployError(
            f"no app {app!r} with {FUNCTION} is deployed: run `modal deploy -m functions.gpu.modal_app` first"
        ) from error
