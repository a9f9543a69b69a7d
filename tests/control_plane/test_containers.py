"""Containers that die, fail, stop and are replaced."""

from typing import Any

import modal
import pytest

from tests.control_plane.conftest import SAMPLE
from tests.control_plane.running import ControlPlane


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
    items = worker.held.remote_gen("stopped")
    container = next(items)
    sample.stop(container)
    assert worker.double.remote(1) == 2  # in another one
    (sample.volume("weights") / "stopped").touch()
    assert list(items) == ["stopped"]
    sample.wait(lambda plane: _exit_codes(plane)[container] == 0, "the container has ended")


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


def test_idle_containers_end_but_for_the_minimum(worker: Any, sample: ControlPlane) -> None:
    sample.modal("deploy", SAMPLE, variables={"SAMPLE_MIN": "1", "SAMPLE_WINDOW_S": "2"})
    sample.wait(lambda plane: len(plane.containers("Worker.*", "ready")) == 1, "one is there without any work")
    calls = [worker.rest.spawn() for _ in range(6)]
    sample.wait(lambda plane: len(plane.containers("Worker.*", "ready")) == 2, "there is another one for the work")
    for call in calls:
        call.cancel()
    sample.wait(lambda plane: len(plane.containers("Worker.*", "ready")) == 1, "one is left")


def test_a_redeployment_replaces_containers(worker: Any, sample: ControlPlane) -> None:
    items = worker.held.remote_gen("replaced")
    container = next(items)
    sample.modal("deploy", SAMPLE, variables={"SAMPLE_VERSION": "2"})
    about = worker.about.remote()
    assert about["variables"]["SAMPLE_VERSION"] == "2"
    assert about["container"] != container
    (sample.volume("weights") / "replaced").touch()
    assert list(items) == ["replaced"]  # in the container it had
    sample.wait(lambda plane: _exit_codes(plane)[container] == 0, "the old container has ended")


def _exit_codes(plane: ControlPlane) -> dict[str, int | None]:
    return {each["id"]: each["exit_code"] for each in plane.containers("Worker.*")}
