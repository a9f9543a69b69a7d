"""The batch functions' secrets, in clear: as they were given, or read from where they are kept.

What was read is used for `secrets_cache_s`; then it is read again, so that a rotation needs no deployment. A reading
that fails fails what needed it, which is tried again by a later pass.
"""

from collections.abc import Mapping
from time import monotonic

from pydantic import SecretStr

from penstock.secrets import name_in


class SecretsUnreadable(Exception):
    """They cannot be read: one line that says why, and shows no value."""


class KeptSecrets:
    """Some secrets that are needed together, by name. Used from one event loop."""

    def __init__(self, keep_s: float, **secrets: SecretStr) -> None:
        self._keep_s = keep_s
        self._given = {name: secret.get_secret_value() for name, secret in secrets.items() if name_in(secret) is None}
        kept = {name: name_in(secret) for name, secret in secrets.items()}
        self._kept = {name: parameter for name, parameter in kept.items() if parameter is not None}
        self._read: Mapping[str, str] = {}
        self._read_until = 0.0

    async def get(self) -> dict[str, str]:
        """Their values. Raises SecretsUnreadable."""
        if self._kept and monotonic() >= self._read_until:
            self._read = await self._parameters()
            self._read_until = monotonic() + self._keep_s
        return {**self._given, **{name: self._read[parameter] for name, parameter in self._kept.items()}}

    async def _parameters(self) -> Mapping[str, str]:
        from penstock.parameter_store import ParametersUnavailable, read_parameters  # noqa: PLC0415 (not every process)

        try:
            return await read_parameters(self._kept.values())
        except ParametersUnavailable as error:
            settings = ", ".join(f"PENSTOCK_{name.upper()}" for name in self._kept)
            raise SecretsUnreadable(f"{settings}: {error}") from None
