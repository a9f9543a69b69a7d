"""A model's containers on Modal: what is taken, what follows from it, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from functions.gpu.engine.places import Places
from penstock.placement import Placement


def test_unsaid_it_is_one_small_container_that_goes_when_idle() -> None:
    placement = Placement()
    assert (placement.gpu, placement.cpu, placement.memory_mib, placement.region) == ((), None, None, None)
    assert (placement.min_containers, placement.max_containers, placement.buffer_containers) == (0, 1, 0)
    assert placement.snapshot


@pytest.mark.parametrize(
    ("said", "gpus"),
    [
        ("L4", ("L4",)),
        (["T4", "L4"], ("T4", "L4")),
        ("H100!", ("H100!",)),
        (["A100-80GB:8", "any"], ("A100-80GB:8", "any")),
        ([], ()),
    ],
)
def test_a_gpu_is_a_name_or_a_list_of_names(said: Any, gpus: tuple[str, ...]) -> None:
    assert Placement(gpu=said).gpu == gpus


@pytest.mark.parametrize(("running", "target", "most"), [(1, 1, 3), (2, 1, 6), (4, 3, 12), (64, 48, 192)])
def test_another_container_starts_before_the_first_is_full(running: int, target: int, most: int) -> None:
    placement = Placement(max_running=running)
    assert (placement.target_concurrency, placement.max_concurrency) == (target, most)
    assert placement.max_running + placement.max_waiting == placement.max_concurrency


@pytest.mark.parametrize("running", [1, 2, 3, 64, 512])
def test_one_account_can_fill_an_idle_container_at_once(running: int) -> None:
    places = Places(Placement(max_running=running).max_waiting)
    for _ in range(running):
        places.take("acme")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gpu", "L4:9"),
        ("gpu", "L4:0"),
        ("gpu", "L 4"),
        ("gpu", ""),
        ("gpu", 1),
        ("gpu", ["L4"] * 9),
        ("cpu", 0),
        ("cpu", float("nan")),
        ("cpu", float("inf")),
        ("memory_mib", 64),
        ("min_containers", -1),
        ("min_containers", 2),  # of at most one
        ("max_containers", 0),
        ("scaledown_window", 1),
        ("scaledown_window", 3_601),
        ("region", "US East"),
        ("max_running", 0),
        ("max_running", 513),
        ("startup_timeout", 0),
        ("exit_grace_period", 3_601),
        ("snapshot", "maybe"),
        ("unknown", 1),
    ],
)
def test_what_modal_would_refuse_is_refused_here(field: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Placement.model_validate({field: value})
