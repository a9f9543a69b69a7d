"""What `modal deploy` says of a table of two models: every option, as Modal's client sent it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.control_plane.running import ControlPlane, control_plane
from tests.integration.modal.cloud import ROOT

TABLE = """
[deployment]
app = "acme"
volume = "acme-weights"
secret = "acme-gpu"
hub_secret = "acme-hub"
delivery = "direct"
region = "eu-west"

[models.small]
source = "acme/small"
revision = "0123456789abcdef0123456789abcdef01234567"
context_length = 8192
prices = [{ effective = 2026-01-01, prompt = 0.1, cached_prompt = 0.05, completion = 0.4 }]

[models.small.modal]
gpu = ["L4", "A10G"]
cpu = 4
memory_mib = 16384
min_containers = 1
buffer_containers = 1
max_containers = 5
scaledown_window = 120
region = "eu-north"
max_running = 100
startup_timeout = 900
exit_grace_period = 600

[models."acme/Large-1.0"]
source = "acme/large"
revision = "89abcdef0123456789abcdef0123456789abcdef"
context_length = 32768
quantization = "int8"
embeddings = { pooling = "last" }
prices = [{ effective = 2026-01-01, prompt = 1, cached_prompt = 0.5, completion = 4 }]
modal = { gpu = "H100!:2", max_containers = 2, snapshot = false }
"""
LARGE = "acme_Large_1_0_"


@pytest.fixture(scope="module")
def acme(linux: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """Where the two models are deployed. What starts of them finds no weights, and says so."""
    folder = tmp_path_factory.mktemp("acme")
    (folder / "penstock.toml").write_text(TABLE)
    with control_plane(folder) as plane:
        for secret in ("acme-gpu", "acme-hub"):
            plane.set_secret(secret, {"NAME": secret})
        plane.modal(
            "deploy",
            "-m",
            "functions.gpu.modal_app",
            variables={"PENSTOCK_CONFIG": str(folder / "penstock.toml")},
        )
        yield plane
        plane.check()


def functions(plane: ControlPlane) -> dict[str, Any]:
    """All that is deployed, by name."""
    (app,) = plane.state()["apps"]
    assert app["name"] == "acme"
    deployed: dict[str, Any] = app["functions"]
    return deployed


def of(plane: ControlPlane, name: str) -> Any:
    """The one whose name begins so."""
    (found,) = [each for each in functions(plane).values() if each["name"].startswith(name)]
    return found


def test_each_model_has_three_classes_and_the_app_a_desk_and_a_function(acme: ControlPlane) -> None:
    names = sorted(functions(acme))
    assert len(names) == 8
    assert {"Gate_small", "Generator_small.*", "Worker_small.*", "Desk.*", "pull_weights"} <= set(names)
    assert {each["name"].partition("_acme_")[0] for each in functions(acme).values() if LARGE in each["name"]} == {
        "Gate",
        "Generator",
        "Worker",
    }


def test_the_image_is_built_in_layers_that_seldom_change_first(acme: ControlPlane) -> None:
    layers = [layer["commands"] for layer in of(acme, "Gate_small")["image"]]
    commands = ["\n".join(each) for each in layers]
    assert "python:3.11" in commands[0]
    torch = next(n for n, each in enumerate(commands) if "pip install torch==2.13.0" in each)
    torchao = next(n for n, each in enumerate(commands) if "torchao==0.18.0" in each)
    lock = next(n for n, each in enumerate(commands) if "--require-hashes" in each)
    assert torch < torchao < lock == len(layers) - 1
    mounted = [path for paths in of(acme, "Gate_small")["mounts"].values() for path in paths]
    assert "/root/penstock.toml" in mounted
    assert "/root/functions/gpu/modal_app.py" in mounted
    assert "/root/functions/gpu/engine/trial_process.py" in mounted
    assert "/root/penstock/ticket.py" in mounted
    assert not [path for path in mounted if "/edge/" in path or "/tests/" in path]


@pytest.mark.parametrize("kind", ["Gate_small", "Generator_small", "Worker_small"])
def test_what_all_of_a_models_containers_have(acme: ControlPlane, kind: str) -> None:
    one = of(acme, kind)
    assert one["gpus"] == ["L4", "A10G"]
    assert (one["cpu_milli"], one["memory_mib"]) == (4_000, 16_384)
    assert one["volumes"] == {"/weights": {"name": "acme-weights", "read_only": True, "sub_path": None}}
    assert one["secrets"] == ["acme-gpu", None]
    assert one["max_containers"] == 5
    assert one["scaledown_window_s"] == 120
    assert one["startup_timeout_s"] == 900
    assert one["enable_memory_snapshot"] is True
    assert one["regions"] == ["eu-north"]
    assert {"PENSTOCK_MODEL", "PENSTOCK_DEVICE", "PENSTOCK_WEIGHTS", "PENSTOCK_OFFLINE"} <= set(one["secret_keys"])
    assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(one["secret_keys"])


def test_a_gate_is_open_to_tickets_alone_and_takes_what_its_engine_can(acme: ControlPlane) -> None:
    gate = of(acme, "Gate_small")
    assert gate["is_server"]
    assert gate["http"] == {
        "port": 8000,
        "unauthenticated": True,
        "startup_timeout_s": 900,
        "exit_grace_period_s": 600,
        "proxy_regions": ["eu-west"],
        "h2_enabled": False,
    }
    assert (gate["max_inputs"], gate["target_inputs"]) == (300, 75)
    assert (gate["min_containers"], gate["buffer_containers"]) == (1, 1)


def test_calls_run_together_and_start_from_zero(acme: ControlPlane) -> None:
    for kind, timeout, inputs in (("Generator_small", 3_600, (300, 75)), ("Worker_small", 86_400, (2, 1))):
        called = of(acme, kind)
        assert (called["max_inputs"], called["target_inputs"]) == inputs
        assert (called["min_containers"], called["buffer_containers"]) == (0, 0)
        assert called["timeout_s"] == timeout
    assert sorted(of(acme, "Generator_small")["methods"]) == ["complete", "embed", "generate"]
    assert of(acme, "Worker_small")["methods"] == ["run"]


def test_the_other_model_is_placed_as_its_own_table_says(acme: ControlPlane) -> None:
    gate = of(acme, f"Gate_{LARGE}")
    assert gate["gpus"] == ["H100!:2"]
    assert gate["enable_memory_snapshot"] is False
    assert (gate["max_containers"], gate["max_inputs"], gate["target_inputs"]) == (2, 192, 48)


def test_the_desk_needs_no_gpu_and_no_weights(acme: ControlPlane) -> None:
    desk = of(acme, "Desk")
    assert (desk["gpus"], desk["volumes"], desk["secrets"]) == ([], {}, ["acme-gpu", None])
    assert (desk["min_containers"], desk["max_containers"], desk["max_inputs"]) == (0, 1, 100)
    assert sorted(desk["methods"]) == ["models", "usage"]


def test_only_a_pull_may_write_and_sees_the_hubs_token(acme: ControlPlane) -> None:
    pull = of(acme, "pull_weights")
    assert pull["volumes"]["/weights"]["read_only"] is False
    assert pull["secrets"] == ["acme-hub"]
    assert pull["gpus"] == []
    assert pull["max_containers"] == 1


def test_the_names_of_the_image_are_the_projects_own_pins() -> None:
    import tomllib

    from functions.gpu import modal_app

    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert modal_app.TORCH in extras["gpu"]
    assert extras["int8"] == [modal_app.TORCHAO]


def test_a_table_that_cannot_be_read_is_one_clear_error(acme: ControlPlane, tmp_path: Path) -> None:
    broken = tmp_path / "penstock.toml"
    broken.write_text(TABLE.replace("max_running = 100", "max_running = 0"))
    with pytest.raises(AssertionError, match=r"models\.small\.modal\.max_running"):
        acme.modal("deploy", "-m", "functions.gpu.modal_app", variables={"PENSTOCK_CONFIG": str(broken)})
