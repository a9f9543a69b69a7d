"""The app on Modal: what it makes of any placement that the table takes. What is deployed: tests/integration/modal."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu import modal_app
from penstock.deployment import CLASS_KINDS, class_name
from penstock.models import ServedModel
from penstock.placement import Placement
from penstock.settings import GpuSettings, read_settings

ROOT = Path(__file__).parents[3]
SECRET = {
    "PENSTOCK_LEDGER_URL": "dynamodb://penstock",
    "PENSTOCK_TICKET_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
}
PRICES = [{"effective": "2026-01-01", "prompt": "0.1", "cached_prompt": "0.05", "completion": "0.4"}]


def bounds(name: str) -> tuple[Any, Any]:
    """The least and the most that the table takes."""
    limits = {type(each).__name__: each for each in Placement.model_fields[name].metadata}
    return limits["Ge"].ge, limits["Le"].le


def whole(name: str) -> st.SearchStrategy[int]:
    least, most = bounds(name)
    return st.integers(least, most) | st.sampled_from([least, most])


@st.composite
def placements(draw: st.DrawFn) -> Placement:
    """Any that the table takes; the numbers' bounds are the model's own."""
    names = ("scaledown_window", "max_running", "startup_timeout", "exit_grace_period", "buffer_containers")
    numbers: dict[str, Any] = {name: draw(whole(name)) for name in names}
    most = draw(whole("max_containers"))
    return Placement(
        **numbers,
        gpu=tuple(draw(st.lists(st.sampled_from(["L4", "H100!:2", "A100-80GB:8", "any"]), max_size=8))),
        cpu=draw(st.none() | st.floats(0.125, 128)),
        memory_mib=draw(st.none() | st.integers(128, 1 << 20)),
        max_containers=most,
        min_containers=draw(st.integers(0, most)),
        region=draw(st.none() | st.just("us-east")),
        snapshot=draw(st.booleans()),
    )


def served(placement: Placement, name: str = "demo") -> ServedModel:
    return ServedModel.model_validate(
        {"name": name, "source": "./demo", "context_length": 1_024, "modal": placement, "prices": PRICES}
    )


def settings_of(model: ServedModel) -> GpuSettings:
    """What a container of the model reads: the secret, and what the app tells it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("PENSTOCK_")]:
            patch.delenv(name)
        for name, value in {**SECRET, **modal_app.environment(model)}.items():
            assert value is not None
            patch.setenv(name, value)
        return read_settings(GpuSettings)


@given(placement=placements())
def test_every_placement_of_the_table_gives_settings_that_the_process_takes(placement: Placement) -> None:
    settings = settings_of(served(placement))
    assert settings.model == "demo"
    assert settings.max_running == placement.max_running <= settings.step_tokens
    assert settings.max_waiting == placement.max_waiting
    assert settings.device == ("cuda" if placement.gpu else "cpu")
    assert (settings.weights, settings.offline) == (Path(modal_app.WEIGHTS), True)


@given(placement=placements())
def test_a_container_is_given_what_its_placement_asks_for(placement: Placement) -> None:
    given = modal_app.resources(served(placement))
    assert given["gpu"] == (list(placement.gpu) if placement.gpu else None)
    assert (given["cpu"], given["memory"]) == (placement.cpu, placement.memory_mib)
    assert given["enable_memory_snapshot"] is placement.snapshot
    assert given["startup_timeout"] == placement.startup_timeout


@pytest.mark.parametrize("name", ["a" * 128, "org/Name-1.5:q8", "A.b/c:d-e_f"])
def test_a_model_of_any_name_is_told_to_its_process_as_it_is(name: str) -> None:
    assert settings_of(served(Placement(), name)).model == name


LEAST = {
    "gpu": ["L4", "any"],
    "exit_grace_period": 0,
    "max_running": 1,
    "scaledown_window": 2,
    "startup_timeout": 10,
    "snapshot": False,
    "memory_mib": 128,
    "cpu": 0.125,
}
MOST = {
    "gpu": "H100:8",
    "exit_grace_period": 3_600,
    "max_running": 512,
    "scaledown_window": 3_600,
    "startup_timeout": 3_600,
    "min_containers": 1_000,
    "buffer_containers": 1_000,
    "max_containers": 1_000,
    "memory_mib": 1 << 20,
    "cpu": 128,
    "region": "eu-north",
}
MODELS = {"least": LEAST, "acme/Most-1.0": MOST, "unsaid": {}}

PROGRAM = """
import json
from functions.gpu import modal_app
named = {name: getattr(modal_app, name) for name in json.loads(input())}
print(json.dumps([modal_app.app.name, {name: type(made).__name__ for name, made in named.items()}]))
"""


def table(models: dict[str, dict[str, Any]]) -> str:
    """penstock.toml of these placements."""
    lines = ['[deployment]\napp = "odd"']
    for name, placement in models.items():
        said = ", ".join(f"{key} = {json.dumps(value)}" for key, value in placement.items())
        prices = "[{ effective = 2026-01-01, prompt = 0.1, cached_prompt = 0.05, completion = 0.4 }]"
        lines.append(f'[models."{name}"]\nsource = "org/name"\nrevision = "{"0" * 40}"\ncontext_length = 1024')
        lines.append(f"prices = {prices}\nmodal = {{ {said} }}")
    return "\n".join(lines)


def test_the_least_and_the_most_of_a_table_are_classes_that_modals_client_takes(tmp_path: Path) -> None:
    config = tmp_path / "penstock.toml"
    config.write_text(table(MODELS))
    names = [class_name(kind, model) for kind in CLASS_KINDS for model in MODELS]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        input=json.dumps(names),
        cwd=ROOT,
        env={**os.environ, "PENSTOCK_CONFIG": str(config)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    app, kinds = json.loads(done.stdout)
    assert app == "odd"
    assert {name: kind for name, kind in kinds.items() if not name.startswith("Gate")} == {
        name: "Cls" for name in names if not name.startswith("Gate")
    }
    assert {kind for name, kind in kinds.items() if name.startswith("Gate")} == {"Server"}
