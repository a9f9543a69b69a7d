"""Secrets in settings: the value itself, as on a laptop, or `ssm:NAME`, a reference to where it is kept.

A NAME is that of a parameter in AWS's Systems Manager Parameter Store; under SECRETS_MANAGER it is a secret of
Secrets Manager, which the Parameter Store passes on. What a reference leads to is read by
`penstock.parameter_store`, by whoever needs it; nothing here reads anything.
https://docs.aws.amazon.com/systems-manager/latest/userguide/sysman-paramstore-su-create.html
https://docs.aws.amazon.com/systems-manager/latest/userguide/integration-ps-secretsmanager.html
"""

import re
from collections.abc import Callable

from pydantic import SecretStr

SCHEME = "ssm:"
SECRETS_MANAGER = "/aws/reference/secretsmanager/"
MAX_NAME = 1_011  # characters
MAX_LEVELS = 15

_PARAMETER = re.compile(r"(/[A-Za-z0-9_.-]+)+|[A-Za-z0-9_.-]+")
_SECRET = re.compile(r"[A-Za-z0-9/_+=.@-]{1,512}")
_HEADER = re.compile("[!-~]{1,256}")


def name_in(secret: SecretStr) -> str | None:
    """The name of the parameter that the secret is kept in; None where it is the secret itself."""
    text = secret.get_secret_value()
    return text.removeprefix(SCHEME) if text.startswith(SCHEME) else None


def check_name(name: str) -> None:
    """Raises ValueError where no parameter can have the name. It may hold a mistaken secret, and is not shown."""
    if name.startswith(SECRETS_MANAGER):
        if not _SECRET.fullmatch(name.removeprefix(SECRETS_MANAGER)):
            raise ValueError("names no secret of Secrets Manager: 1 to 512 letters, digits or /_+=.@-")
    elif len(name) > MAX_NAME or not _PARAMETER.fullmatch(name) or name.count("/") > MAX_LEVELS:
        raise ValueError(
            f"names no parameter of SSM: ssm:/PATH/NAME of letters, digits or _.-, of {MAX_NAME} characters "
            f"and {MAX_LEVELS} levels at most"
        )
    elif re.match("/?(aws|ssm)", name, re.IGNORECASE):
        raise ValueError("names no parameter of ours: those that begin with aws or ssm are AWS's own")


def given_or_kept(check: Callable[[str], object]) -> Callable[[SecretStr], SecretStr]:
    """The check of a setting that may be a reference; `check` raises ValueError for a wrong value."""

    def checked(secret: SecretStr) -> SecretStr:
        name = name_in(secret)
        if name is None:
            check(secret.get_secret_value())
        else:
            check_name(name)
        return secret

    return checked


def given(check: Callable[[str], object]) -> Callable[[SecretStr], SecretStr]:
    """The check of a setting of a process that reads no references."""

    def checked(secret: SecretStr) -> SecretStr:
        if name_in(secret) is not None:
            raise ValueError("this process reads no parameters of SSM: give the value itself")
        check(secret.get_secret_value())
        return secret

    return checked


def check_header(text: str) -> None:
    """Raises ValueError where a header cannot have this value, which is not shown."""
    if not _HEADER.fullmatch(text):
        raise ValueError("must be 1 to 256 visible ASCII characters")
