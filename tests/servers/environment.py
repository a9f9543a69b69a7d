"""The standard AWS configuration which leads a client to a server on this machine, and to it alone."""

import os
from collections.abc import Mapping

import pytest

# Whatever else could send requests elsewhere, or sign them as somebody.
UNSET = (
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_PROFILE",
    "AWS_SESSION_TOKEN",
)


def environment(url: str) -> Mapping[str, str]:
    """The variables: the endpoint `url`, a region, and credentials that are good for nothing else."""
    return {
        "AWS_ENDPOINT_URL": url,
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


def lead_to(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lead this process, and those it starts, to the server at `url` until the test's end."""
    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment(url).items():
        monkeypatch.setenv(name, value)
