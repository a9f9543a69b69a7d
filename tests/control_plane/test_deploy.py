"""What a deployment leaves in the record, and what is answered about what is not there."""

import modal
import pytest

from tests.control_plane.conftest import SAMPLE
from tests.control_plane.running import ControlPlane


def test_a_class_is_recorded_as_it_was_defined(sample: ControlPlane) -> None:
    worker = sample.function("sample", "Worker.*")
    assert worker["gpus"] == ["H100", "A100-80GB:2"]
    assert worker["volumes"] == {"/weights": {"name": "weights", "read_only": False, "sub_path": None}}
    assert worker["secrets"] == ["sample-secret"]
    assert (worker["max_inputs"], worker["target_inputs"]) == (4, 3)
    assert (worker["min_containers"], worker["max_containers"], worker["scaledown_window_s"]) == (0, 2, 60)
    assert (worker["timeout_s"], worker["startup_timeout_s"]) == (120, 90)
    assert worker["enable_memory_snapshot"] is True
    assert worker["regions"] == ["us-east"]
    assert {"about", "count", "fail"} < set(worker["methods"])
    assert worker["http"] is None


def test_an_image_is_recorded_with_its_commands(sample: ControlPlane) -> None:
    commands = [line for image in sample.function("sample", "Worker.*")["image"] for line in image["commands"]]
    assert any("pip install" in line and "numpy==2.0.0" in line for line in commands)
    assert "ENV FROM_IMAGE=yes" in commands


def test_added_sources_are_recorded_with_their_paths(sample: ControlPlane) -> None:
    mounted = [path for files in sample.function("sample", "Worker.*")["mounts"].values() for path in files]
    assert "/root/penstock/ticket.py" in mounted
    assert "/root/sample_app.py" in mounted


def test_parameters_are_recorded(sample: ControlPlane) -> None:
    assert sample.function("sample", "Named.*")["parameters"] == ["name"]


def test_a_server_is_recorded_as_it_was_defined(sample: ControlPlane, modal_client: modal.Client) -> None:
    server = sample.function("sample", "Open")
    assert server["http"] == {
        "port": 8000,
        "unauthenticated": True,
        "startup_timeout_s": 60,
        "exit_grace_period_s": 30,
        "proxy_regions": ["us-east"],
        "h2_enabled": False,
    }
    assert (server["max_inputs"], server["max_containers"]) == (2, 1)
    assert sample.function("sample", "Guarded")["http"]["unauthenticated"] is False
    assert modal.Server.from_name("sample", "Open", client=modal_client).get_url() == server["url"]


def test_what_is_not_deployed_is_not_found(sample: ControlPlane, modal_client: modal.Client) -> None:
    with pytest.raises(modal.exception.NotFoundError, match="nowhere"):
        modal.Cls.from_name("nowhere", "Worker", client=modal_client).hydrate()
    with pytest.raises(modal.exception.NotFoundError, match="Nobody"):
        modal.Cls.from_name("sample", "Nobody", client=modal_client).hydrate()
    with pytest.raises(modal.exception.NotFoundError, match="no-such-secret"):
        modal.Secret.from_name("no-such-secret", client=modal_client).hydrate()
    with pytest.raises(modal.exception.NotFoundError, match="no-such-volume"):
        modal.Volume.from_name("no-such-volume", client=modal_client).hydrate()


def test_deploying_again_keeps_ids_and_urls(sample: ControlPlane) -> None:
    before = sample.function("sample", "Open")
    sample.modal("deploy", SAMPLE, variables={"SAMPLE_VERSION": "2"})
    after = sample.function("sample", "Open")
    assert (after["id"], after["url"]) == (before["id"], before["url"])
    assert "ENV SAMPLE_VERSION=2" in [line for image in after["image"] for line in image["commands"]]
