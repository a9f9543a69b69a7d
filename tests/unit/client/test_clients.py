"""How a client is made, and what it costs to import."""

import subprocess
import sys

import pytest

from penstock.client import AsyncPenstock, Misconfigured, Penstock

KINDS = [Penstock, AsyncPenstock]


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PENSTOCK_BASE_URL", raising=False)
    monkeypatch.delenv("PENSTOCK_API_KEY", raising=False)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_missing_is_said(kind: type[Penstock], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Misconfigured, match="no base_url: give it, or set PENSTOCK_BASE_URL"):
        kind()
    monkeypatch.setenv("PENSTOCK_BASE_URL", "http://127.0.0.1:8000/v1")
    with pytest.raises(Misconfigured, match="no api_key: give it, or set PENSTOCK_API_KEY"):
        kind()
    monkeypatch.setenv("PENSTOCK_API_KEY", "ps_x")
    kind()


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_given_goes_before_the_environment(kind: type[Penstock], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENSTOCK_BASE_URL", "nonsense")
    with pytest.raises(Misconfigured, match="'nonsense' is not a URL"):
        kind(api_key="k")
    kind("https://api.example/v1", "k")


@pytest.mark.parametrize("kind", KINDS)
def test_without_modals_client_the_direct_way_says_what_to_install(
    kind: type[Penstock], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "penstock.client.direct", None)
    with pytest.raises(Misconfigured, match=r"penstock\[modal\]"):
        kind.direct("penstock", "demo")


def test_importing_it_imports_no_terminal_and_no_modal() -> None:
    code = "import sys, penstock.client; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert {"httpx2", "orjson", "pydantic"} <= loaded
    assert loaded.isdisjoint(
        {"aiohttp", "modal", "openai", "pydantic_settings", "rich", "sqlalchemy", "starlette", "structlog", "typer"}
    )
    assert "penstock.cli" not in done.stdout.split()
