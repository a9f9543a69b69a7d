"""`client.batches`: what is sent, and how a batch's end is waited for."""

import httpx2
import orjson
import pytest

from penstock.client import ConnectionFailed, NotFound, StillRunning, Unauthenticated
from penstock.client import waiting as waiting_module
from penstock.client.answers import Batch
from penstock.client.waiting import LOOK_WITHIN, LOST_AFTER, Waiting
from tests.unit.client.carried import URL, Carried, good, refused, script
from tests.unit.client.wire import a_batch

MADE = {"input_file_id": "file-1", "endpoint": "/v1/chat/completions", "completion_window": "24h"}


class Clock:
    """A time that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def seen(**options: object) -> Batch:
    return Batch.model_validate(a_batch(**options))  # type: ignore[arg-type]


def test_a_batch_is_made_once_however_often_it_is_asked_for(carried: Carried) -> None:
    made = carried.use(script(refused(500), good(a_batch("validating"))), "batches.create", **MADE, metadata={"a": "b"})
    assert (made.id, made.status, made.final) == ("batch_1", "validating", False)
    first, second = carried.requests
    assert orjson.loads(first.content) == {**MADE, "metadata": {"a": "b"}}
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_the_others(carried: Carried) -> None:
    page = {"object": "list", "data": [a_batch()], "first_id": "batch_1", "last_id": "batch_1", "has_more": True}
    assert carried.use(script(good(page)), "batches.list", limit=1, after="batch_2").has_more
    assert carried.use(script(good(a_batch("completed"))), "batches.retrieve", "batch_1").final
    assert carried.use(script(good(a_batch("cancelling"))), "batches.cancel", "batch_1").status == "cancelling"
    assert [(request.method, str(request.url)) for request in carried.requests] == [
        ("GET", f"{URL}/batches?limit=1&after=batch_2"),
        ("GET", f"{URL}/batches/batch_1"),
        ("POST", f"{URL}/batches/batch_1/cancel"),
    ]
    with pytest.raises(TypeError, match="missing a required keyword argument: 'endpoint'"):
        carried.use(script(), "batches.create", input_file_id="file-1", completion_window="24h")


@pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "expired"])
def test_waiting_returns_the_batch_as_it_ended(carried: Carried, end: str) -> None:
    told: list[Batch] = []
    looks = script(good(a_batch("validating")), good(a_batch(completed=2)), good(a_batch(end, completed=3, failed=1)))
    batch = carried.use(looks, "batches.wait", "batch_1", progress=told.append)
    assert batch.status == end
    assert [one.request_counts.completed for one in told] == [0, 2, 3]
    assert len(carried.pauses) == 2
    assert {request.extensions["timeout"]["read"] for request in carried.requests} == {LOOK_WITHIN}


def test_a_failure_that_passes_is_sat_out(carried: Carried) -> None:
    gone = [httpx2.ConnectError("no") for _ in range(7)]
    looks = script(good(a_batch()), *gone, refused(500), refused(429), good(a_batch("completed")))
    assert carried.use(looks, "batches.wait", "batch_1").status == "completed"


def test_one_that_does_not_pass_is_raised_and_so_is_any_at_the_first_look(carried: Carried) -> None:
    with pytest.raises(NotFound):
        carried.use(script(refused(404)), "batches.wait", "batch_1")
    with pytest.raises(Unauthenticated):
        carried.use(script(good(a_batch()), refused(401)), "batches.wait", "batch_1")
    with pytest.raises(ConnectionFailed):
        carried.use(script(*[httpx2.ConnectError("no") for _ in range(3)]), "batches.wait", "batch_1")


def test_a_wait_that_was_long_enough_says_how_far_the_batch_is(carried: Carried) -> None:
    with pytest.raises(StillRunning) as caught:
        carried.use(script(good(a_batch(completed=2, failed=1))), "batches.wait", "batch_1", timeout=0)
    assert str(caught.value) == "the batch batch_1 is in_progress after 0 s (3 of 4 lines done); it goes on"
    assert caught.value.batch.id == "batch_1"


@pytest.mark.parametrize("times", [{"poll": 0}, {"poll": float("nan")}, {"timeout": -1}])
def test_times_that_are_none_are_refused(carried: Carried, times: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="poll must be more than 0 seconds"):
        carried.use(script(), "batches.wait", "batch_1", **times)


def test_looks_become_rarer_up_to_one_in_poll_seconds() -> None:
    waiting = Waiting("batch_1", poll=2.0, timeout=None)
    pauses = [waiting.seen(seen()) or 0.0 for _ in range(12)]
    assert pauses == sorted(pauses)
    assert pauses[0] == waiting_module._FIRST_PAUSE
    assert pauses[-1] == 2.0


def test_no_pause_goes_beyond_the_timeout() -> None:
    clock = Clock()
    waiting = Waiting("batch_1", poll=100.0, timeout=1.0, clock=clock)
    clock.now = 0.9
    assert waiting.seen(seen()) == pytest.approx(0.1)
    clock.now = 1.0
    with pytest.raises(StillRunning):
        waiting.missed(ConnectionFailed("gone"))


def test_an_api_that_stays_away_is_given_up() -> None:
    clock = Clock()
    waiting = Waiting("batch_1", poll=10.0, timeout=None, clock=clock)
    waiting.seen(seen())
    clock.now = LOST_AFTER
    assert waiting.missed(ConnectionFailed("gone")) > 0
    clock.now = LOST_AFTER + 1
    with pytest.raises(ConnectionFailed):
        waiting.missed(ConnectionFailed("gone"))
