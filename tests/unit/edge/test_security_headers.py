"""The security headers of every answer, made by the app or by the boundary itself."""

from typing import Any

import pytest
from starlette.datastructures import MutableHeaders

from functions.edge.security_headers import ALWAYS, OVER_HTTPS, secure

NAMES = {"Cache-Control", "Content-Security-Policy", "Referrer-Policy", "X-Content-Type-Options", "X-Frame-Options"}


def test_what_every_answer_says() -> None:
    headers = MutableHeaders()
    secure(headers, "http")
    assert dict(headers) == {name.lower(): value for name, value in ALWAYS.items()}
    assert set(ALWAYS) == NAMES
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]


@pytest.mark.parametrize(("scheme", "said"), [("https", "max-age=31536000"), ("http", None)])
def test_https_is_asked_for_over_https_alone(scheme: str, said: Any) -> None:
    headers = MutableHeaders()
    secure(headers, scheme)
    assert headers.get("strict-transport-security") == said


@pytest.mark.parametrize("name", [*ALWAYS, *OVER_HTTPS])
def test_what_an_answer_says_itself_stands(name: str) -> None:
    headers = MutableHeaders({name: "its own"})
    secure(headers, "https")
    assert headers.getlist(name) == ["its own"]
