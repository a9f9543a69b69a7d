"""API keys: `ps_<id>_<secret><checksum>`.

The prefix and the checksum let secret scanners recognise a leaked key, and let the edge refuse a
malformed one without a look-up. Only the SHA-256 of the secret is stored: it has 190 random bits, so a
slow hash would add nothing. Who may do what with a key is the ledger's business.
"""

import hashlib
import hmac
import re
import secrets
import zlib
from dataclasses import dataclass

from pydantic import SecretStr

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 12
_SECRET_LENGTH = 32
_CHECKSUM_LENGTH = 6
_FORM = re.compile(
    rf"ps_([0-9A-Za-z]{{{_ID_LENGTH}}})_([0-9A-Za-z]{{{_SECRET_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key in clear: its public id, and the secret behind a type that cannot be printed."""

    id: str
    secret: SecretStr

    def reveal(self) -> str:
        """The key as its owner sends it. Shown once, at creation."""
        return f"ps_{self.id}_{self.secret.get_secret_value()}{_checksum(self.id, self.secret)}"

    def digest(self) -> str:
        """What the ledger stores: the hex SHA-256 of the secret."""
        return hashlib.sha256(self.secret.get_secret_value().encode()).hexdigest()

    def matches(self, digest: str) -> bool:
        """Whether the stored digest is this secret's, compared in constant time."""
        return hmac.compare_digest(self.digest(), digest)


def mint() -> ApiKey:
    """A new key from the system's randomness."""
    return ApiKey(_random(_ID_LENGTH), SecretStr(_random(_SECRET_LENGTH)))


def parse(text: str) -> ApiKey | None:
    """The key in `text`, or None where the form or the checksum is wrong."""
    match = _FORM.fullmatch(text)
    if match is None:
        return None
    key = ApiKey(match[1], SecretStr(match[2]))
    return key if hmac.compare_digest(match[3], _checksum(key.id, key.secret)) else None


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))


def _checksum(key_id: str, secret: SecretStr) -> str:
    number = zlib.crc32(f"{key_id}_{secret.get_secret_value()}".encode())
    digits = []
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
