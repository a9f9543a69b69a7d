"""Where the GPU processes are: one URL for all models, or one for each.

The setting is a URL, in which `{model}` stands for the model's name, or a JSON object of URLs by the model's
name, as it stands in the table: `{"demo": "https://..."}`. Every model of the table has its URL, or nothing starts.
"""

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

import orjson

from penstock.models import ConfigError, ModelTable

MAX_LENGTH = 256 << 10  # bytes of the setting
_PLACE = "{model}"
_PORTS = {"http": 80, "https": 443}


class GpuUrls:
    """The base URL of each model's GPU processes."""

    def __init__(self, template: str | None, by_model: Mapping[str, str]) -> None:
        self._template = template
        self._by_model = by_model

    @classmethod
    def parse(cls, text: str) -> "GpuUrls":
        """What the setting says. Raises ValueError, which shows no URL: one may hold a password."""
        if len(text) > MAX_LENGTH:
            raise ValueError(f"must not be longer than {MAX_LENGTH:,} bytes")
        if not text.lstrip().startswith("{"):
            return cls(_checked(text), {})
        try:
            by_model = orjson.loads(text)
        except orjson.JSONDecodeError:
            raise ValueError("begins as a JSON object and is none") from None
        return cls(None, {name: _checked_of(name, url) for name, url in by_model.items()})

    @classmethod
    def read(cls, setting: str, text: str, models: ModelTable) -> "GpuUrls":
        """The same, of the models of the table and no others. Raises ConfigError, which names the setting."""
        try:
            urls = cls.parse(text)
            urls.require(models)
        except ValueError as error:
            raise ConfigError(f"{setting}: {error}") from None
        return urls

    def of(self, model: str) -> str:
        """The base URL for a model of the table, without a slash at its end."""
        url = self._by_model[model] if self._template is None else self._template.replace(_PLACE, quote(model, safe=""))
        return url.rstrip("/")

    def host(self, model: str) -> tuple[str | None, int]:
        """The host and the port that a model's URL leads to."""
        parts = urlsplit(self.of(model))
        return parts.hostname, parts.port or _PORTS[parts.scheme]

    def require(self, models: ModelTable) -> None:
        """Raises ValueError where URLs by model are not those of this table."""
        if self._template is not None:
            return
        names = [model.name for model in models.models]
        if missing := [name for name in names if name not in self._by_model]:
            raise ValueError(f"has no URL for the model {missing[0]!r}")
        if unknown := [name for name in self._by_model if name not in names]:
            raise ValueError(f"has a URL for {unknown[0][:128]!r}, which is no model's name in the table")


def _checked(url: str) -> str:
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in _PORTS or not parts.hostname or parts.query or parts.fragment or parts.port == 0
    except ValueError:  # a port that is no number, or half an IPv6 address
        wrong = True
    if wrong:
        raise ValueError("must be an http or https URL without a query")
    return url


def _checked_of(name: str, url: object) -> str:
    try:
        if not isinstance(url, str) or _PLACE in url:
            raise ValueError(f"must be a URL, without {_PLACE}")
        return _checked(url)
    except ValueError as error:
        raise ValueError(f"{name[:128]!r}: {error}") from None
