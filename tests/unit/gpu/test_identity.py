"""The role of a container: assumed with its own token, and with nothing that lives longer."""

import base64
import json
import os
import time
from pathlib import Path

import pytest

from functions.gpu.identity import assume_role
from penstock.models import ConfigError

ROLE = "arn:aws:iam::123456789012:role/penstock-gpu"


def jwt(**claims: object) -> str:
    payload = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    return f"e30.{payload}.sig"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ROLE_ARN", "WEB_IDENTITY_TOKEN_FILE", "ROLE_SESSION_NAME")
    for name in (*(f"AWS_{name}" for name in names), "MODAL_IDENTITY_TOKEN"):
        monkeypatch.setenv(name, "")  # so that what the code sets is undone
        monkeypatch.delenv(name)


def test_without_a_role_nothing_is_changed(tmp_path: Path) -> None:
    assert assume_role(tmp_path) is None
    assert "AWS_WEB_IDENTITY_TOKEN_FILE" not in os.environ


def test_the_token_is_a_file_that_only_its_owner_reads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = jwt(exp=int(time.time()) + 1_000)
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("MODAL_IDENTITY_TOKEN", token)
    left = assume_role(tmp_path / "identity")
    file = Path(os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"])
    assert file.read_text() == token
    assert file.stat().st_mode & 0o777 == 0o600
    assert left == pytest.approx(1_000, abs=60)


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_a_long_lived_key_beside_the_role_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("MODAL_IDENTITY_TOKEN", jwt(exp=1))
    monkeypatch.setenv(name, "x")
    with pytest.raises(ConfigError, match="take it out of the secret"):
        assume_role(tmp_path)


@pytest.mark.parametrize("token", ["", "no token", "e30.e30.sig", jwt(exp="soon"), "a.b.c"])
def test_a_role_without_a_token_that_ends_is_refused(
    token: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ROLE_ARN", ROLE)
    monkeypatch.setenv("MODAL_IDENTITY_TOKEN", token)
    with pytest.raises(ConfigError, match="MODAL_IDENTITY_TOKEN"):
        assume_role(tmp_path)
