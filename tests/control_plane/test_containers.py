"""Containers that die, fail, stop and are replaced."""

from typing import Any

import modal
import pytest

from tests.control_plane.running import ControlPlane, Json


@pytest.fixture(scope="module")
def worker(sample: ControlPlane, modal_client: modal.Client) -> Any:
    """The sample's class."""
    return modal.Cls.from_name("sample", "Worker", client=modal_client)()


def test_a_killed_containers_inputs_are_delivered_again(worker: Any, sample: ControlPlane) -> None:
    items = worker.once_killed.remote_gen("killed")
    got = [next(items), next(items)]
    (container,) = sample.containers("Worker.*", "ready")
    sample.kill(container["id"])
    got += list(items)
    # By index: the second delivery's first two items are in the places of what was already read.
    assert got == ["first 0", "first 1", "second 2"]
    states = {each["id"]: each["state"] for each in sample.containers("Worker.*")}
    assert states[container["id"]] == "dead"


def test_an_input_that_kills_each_container_fails_in_the_end(worker: Any) -> None:
    with pytest.raises(modal.exception.InternalFailure, match="died in each of 4 deliveries"):
        worker.die.remote()


def test_a_stopped_container_finishes_first(worker: Any, sample: ControlPlane) -> None:
    call = worker.where.spawn(2.0)
    (container,) = sample.wait(_busy, "the call runs")
    sample.stop(container["id"])
    assert call.get(timeout=60) == container["id"]
    sample.wait(lambda plane: _exit_codes(plane)[container["id"]] == 0, "the container has ended")


def test_a_container_that_cannot_start_fails_who_waits_and_may_start_later(
    sample: ControlPlane, modal_client: modal.Client
) -> None:
    broken = modal.Cls.from_name("sample", "Broken", client=modal_client)()
    with pytest.raises(RuntimeError, match="no weights"):
        broken.hello.remote()
    (sample.volume("weights") / "mended").write_text("")
    assert broken.hello.remote() == "mended"


def test_containers_started_later_see_a_secrets_new_value(worker: Any, sample: ControlPlane) -> None:
    sample.set_secret("sample-secret", {"FROM_SECRET": "second"})
    for container in sample.containers("Worker.*", "ready"):
        sample.kill(container["id"])
    sample.wait(lambda plane: not plane.containers("Worker.*", "ready"), "all have ended")
    assert worker.about.remote()["variables"]["FROM_SECRET"] == "second"


def test_a_redeployment_replaces_containers(worker: Any, sample: ControlPlane) -> None:
    items = worker.count.remote_gen(20, 0.1)
    assert next(items) == 0
    sample.modal("deploy", "tests/control_plane/sample_app.py", variables={"SAMPLE_VERSION": "2"})
    assert worker.about.remote()["variables"]["SAMPLE_VERSION"] == "2"
    assert list(items) == list(range(1, 20))  # the call that ran goes on in the container it had


def _busy(plane: ControlPlane) -> list[Json]:
    return [each for each in plane.containers("Worker.*", "ready") if each["inputs"]]


def _exit_codes(plane: ControlPlane) -> dict[str, int | None]:
    return {each["id"]: each["exit_code"] for each in plane.containers("Worker.*")}
