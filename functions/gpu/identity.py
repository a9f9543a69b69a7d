"""Who a container is to AWS: a role, assumed with the identity token that the platform gives each container.

botocore exchanges the token for credentials of an hour, and again before they end, from a file that the
standard variables name: https://docs.aws.amazon.com/sdkref/latest/guide/feature-assume-role-credentials.html.
No long-lived key of AWS is anywhere. The token is the platform's, signed for this container, good for some two
days and not renewed, so a container has to be replaced before it ends.
"""

import base64
import binascii
import json
import os
import tempfile
import time
from pathlib import Path

from penstock.models import ConfigError

TOKEN = "MODAL_IDENTITY_TOKEN"  # noqa: S105 (the name of a variable)
ROLE = "AWS_ROLE_ARN"
KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


def assume_role(folder: Path) -> float | None:
    """Lead AWS's client to the role that AWS_ROLE_ARN names; how many seconds the token is good for.

    None where no role is named. Raises ConfigError where a long-lived key would be used in its place, or there
    is no token.
    """
    if not os.environ.get(ROLE):
        return None
    if any(os.environ.get(name) for name in KEYS):
        raise ConfigError(f"{KEYS[0]} is set beside {ROLE}, and would be used in its place: take it out of the secret")
    token = os.environ.get(TOKEN)
    if not token:
        raise ConfigError(f"{ROLE} is set, but there is no {TOKEN} to assume it with")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / "identity-token"
    file.touch(mode=0o600)
    file.write_text(token, encoding="ascii")
    os.environ["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(file)
    os.environ.setdefault("AWS_ROLE_SESSION_NAME", "penstock")
    return _expiry(token) - time.time()


def assume_own_role() -> float | None:
    """The same, with the file in a folder of this container's own."""
    return assume_role(Path(tempfile.gettempdir()) / "penstock")


def _expiry(token: str) -> float:
    """The claim `exp` of a JWT (RFC 7519, section 4.1.4). Whether it is genuine is for AWS to say."""
    try:
        payload = token.split(".")[1]
        return float(json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))["exp"])
    except (IndexError, KeyError, TypeError, ValueError, binascii.Error):
        raise ConfigError(f"{TOKEN} is no token with a time of expiry") from None
