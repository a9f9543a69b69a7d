"""LiteLLM's proxy, running: one worker, on a free port of the loopback interface."""

import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import orjson

from benchmarks.child import child, listen
from benchmarks.edge.events import CHAT
from benchmarks.edge.litellm import POOR, RICH
from benchmarks.edge.rig import Rig
from benchmarks.edge.servers import Server
from benchmarks.failure import BenchmarkFailed

_ROOT = Path(__file__).parents[3]
_PYTHON = _ROOT / ".venv" / "litellm" / "bin" / "python"
_INSTALL_WITHIN = 900.0  # seconds; it downloads
_POOR_FOR = 20.0  # seconds within which the proxy has counted what a key has spent
_PRICE = {"input_cost_per_token": 1e-7, "output_cost_per_token": 4e-7}  # dollars, as in the edge's table


def install() -> str | None:
    """Install the proxy where it is not. Why that failed, or None."""
    script = Path(__file__).with_name("install")
    try:
        done = subprocess.run([script], capture_output=True, text=True, timeout=_INSTALL_WITHIN, check=False)
    except subprocess.TimeoutExpired:
        return f"not installed within {_INSTALL_WITHIN:g} s"
    return None if done.returncode == 0 else (done.stderr.strip().splitlines() or ["no reason given"])[-1]


@contextmanager
def litellm(rig: Rig, upstream_url: str) -> Iterator[tuple[Server, str]]:
    """The proxy in front of `upstream_url`, and an API key. Raises BenchmarkFailed.

    Before it is measured it has shown that it refuses a key that it does not know, and one that has spent its budget.
    """
    rich, poor = (f"sk-{secrets.token_hex(16)}" for _ in range(2))
    config = rig.directory / "litellm.json"  # YAML, too
    config.write_bytes(orjson.dumps(_config(upstream_url)))
    address = _free_address()
    options = ["--config", str(config), "--host", address[0], "--port", str(address[1]), "--num_workers", "1"]
    running = child(
        "LiteLLM proxy",
        ["-m", "benchmarks.edge.litellm.process", *options],
        log=rig.directory / "litellm.log",
        environment=_environment() | {RICH: rich, POOR: poor},
        python=_PYTHON,
    )
    with running as process:
        process.wait_for_answer(address, "/health/liveliness")
        url = f"http://{address[0]}:{address[1]}"
        _expect_limits(url, rich, poor)
        yield Server(process, url), rich


def _config(upstream_url: str) -> dict[str, object]:
    models = [
        {"model_name": name, "litellm_params": _PRICE | {"model": f"openai/{name}", "api_base": f"{upstream_url}/v1"}}
        for name in ("stub", "slow")
    ]
    return {
        "model_list": models,
        "general_settings": {
            "master_key": f"sk-{secrets.token_hex(16)}",
            "custom_auth": "benchmarks.edge.litellm.keys.authenticate",
            "custom_auth_run_common_checks": True,
        },
        "litellm_settings": {"enable_post_custom_auth_checks": True, "set_verbose": False, "request_timeout": 600},
    }


def _environment() -> dict[str, str]:
    """What its documentation advises in production (docs.litellm.ai/docs/proxy/prod), and nothing from outside."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("LITELLM_", "PENSTOCK_"))}
    return inherited | {
        "LITELLM_MODE": "PRODUCTION",
        "LITELLM_LOG": "ERROR",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "OPENAI_API_KEY": "none",  # the stub asks for none
        "PYTHONPATH": str(_ROOT),
    }


def _free_address() -> tuple[str, int]:
    """A port for a server that cannot inherit a socket: free just now."""
    with listen() as listener:
        host, port = listener.getsockname()
        return host, port


def _expect_limits(url: str, rich: str, poor: str) -> None:
    _expect(_status(url, rich) == 200, "answers its key")
    _expect(_status(url, f"{rich}0") == 401, "refuses a key that it does not know")
    give_up = time.monotonic() + _POOR_FOR
    while (status := _status(url, poor)) == 200 and time.monotonic() < give_up:
        time.sleep(0.1)
    _expect(400 <= status < 500, "refuses a key that has spent its budget")


def _expect(seen: bool, what: str) -> None:
    if not seen:
        raise BenchmarkFailed(f"LiteLLM's proxy was not seen to do what it must: {what}")


def _status(url: str, api_key: str) -> int:
    headers = {"Authorization": f"Bearer {api_key}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"{url}/v1/chat/completions", CHAT, headers)  # noqa: S310 (the scheme is ours)
    try:
        with urllib.request.urlopen(request, timeout=60) as response:  # noqa: S310
            status: int = response.status
            return status
    except urllib.error.HTTPError as refusal:
        refusal.close()
        return refusal.code
