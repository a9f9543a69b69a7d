"""The form of webhooks: what a message is signed with, and how whoever gets it can tell that it is ours.

Standard Webhooks, which OpenAI's clients verify: https://www.standardwebhooks.com, "Signature scheme". A secret is
`whsec_` and 24 to 64 bytes in base64.
"""

import base64
import binascii
import hmac
from collections.abc import Mapping
from hashlib import sha256
from ipaddress import ip_address
from urllib.parse import urlsplit

PREFIX = "whsec_"
LEAST, MOST = 24, 64  # bytes of a secret


def check_url(url: str) -> str:
    """The URL, where messages may be sent there. Raises ValueError, which does not show it."""
    if not _fine(url):
        raise ValueError("must be an https URL without a password; http only to this machine itself")
    return url


def _fine(url: str) -> bool:
    try:
        parts = urlsplit(url)
        whole = bool(parts.hostname) and not parts.username and parts.port != 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        return False
    return whole and (parts.scheme == "https" or (parts.scheme == "http" and _loopback(parts.hostname or "")))


def check_secret(text: str) -> bytes:
    """The secret's bytes. Raises ValueError, which does not show it."""
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except binascii.Error:
        key = b""
    if not text.startswith(PREFIX) or not LEAST <= len(key) <= MOST:
        raise ValueError(f"must be {PREFIX} and {LEAST} to {MOST} bytes in base64")
    return key


def signed(secret: str, message_id: str, at_s: int, body: bytes) -> Mapping[str, str]:
    """The headers of the message, sent at `at_s` (seconds). Raises ValueError for a malformed secret."""
    text = f"{message_id}.{at_s}.".encode() + body
    signature = base64.b64encode(hmac.digest(check_secret(secret), text, sha256)).decode()
    return {"webhook-id": message_id, "webhook-timestamp": str(at_s), "webhook-signature": f"v1,{signature}"}


def _loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
