"""The operator's Modal workspace, as these modules ask it: one line of error, whatever goes wrong."""

from collections.abc import Iterator
from contextlib import contextmanager

import modal
from modal.exception import AuthError, Error, NotFoundError

from penstock.deploy.errors import DeployError, NotThere

_LINE = 300  # characters of Modal's own message


@contextmanager
def asking() -> Iterator[None]:
    """Modal's errors within become a DeployError; those of the code that it runs for us stay what they are."""
    try:
        yield
    except AuthError as error:
        raise DeployError(
            f"Modal takes no token from here ({_line(error).split('. ')[0]}): run `modal token new`, or set "
            "MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
        ) from error
    except NotFoundError as error:
        raise NotThere(_line(error)) from error
    except Error as error:
        raise DeployError(f"Modal: {_line(error)}") from error


def gate_url(app: str, name: str, environment: str | None) -> str:
    """The address of a deployed server. Raises NotThere, DeployError."""
    with asking():
        url = modal.Server.from_name(app, name, environment_name=environment).get_url()
    if url is None:
        raise NotThere(f"{name} of {app} has no URL")
    return url


def require_secret(name: str, variables: list[str], environment: str | None) -> None:
    """Return where the secret exists and has the variables. Raises NotThere, DeployError."""
    with asking():
        modal.Secret.from_name(name, environment_name=environment, required_keys=variables).hydrate()


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LINE].rstrip(".") or type(error).__name__
