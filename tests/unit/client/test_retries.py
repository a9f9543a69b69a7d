"""Which failures are tried again, when, and how often."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.client.call import Call
from penstock.client.errors import ConnectionFailed, PenstockError, UnexpectedAnswer, status_error, stream_error
from penstock.client.retries import LAST_BACKOFF, LONGEST_PAUSE, Tries, repeatable
from tests.unit.client.carried import CHAT, MODELS, Carried, good, refused, script

KEYED = replace(CHAT, idempotency_key="mine")
CHANCES = st.floats(0, 1)


def pause(error: PenstockError, call: Call = KEYED, *, retries: int = 0, most: int = 2) -> float | None:
    return Tries(most, repeatable=repeatable(call), patience=60, chance=lambda: 0.5, retries=retries).pause(error)


def refusal(status: int, code: str | None = None, headers: Mapping[str, str] | None = None) -> PenstockError:
    return status_error(status, {"error": {"message": "No.", "code": code}}, headers or {})


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_what_passes_is_tried_again_where_it_is_paid_for_once(status: int) -> None:
    assert pause(refusal(status), KEYED) is not None
    assert pause(refusal(status), MODELS) is not None


@pytest.mark.parametrize("status", [300, 400, 401, 402, 403, 404, 405, 409, 413, 418, 422])
def test_what_does_not_pass_is_not_tried_again(status: int) -> None:
    assert pause(refusal(status), KEYED) is None


@given(st.integers(300, 599))
def test_what_may_have_begun_is_tried_again_only_under_a_key(status: int) -> None:
    assert (pause(refusal(status), CHAT) is not None) == (status in (429, 503))


def test_a_connection_that_broke_is_one_that_was_not_made_only_where_nothing_was_sent() -> None:
    assert pause(ConnectionFailed("x", sent=True), KEYED) is not None
    assert pause(ConnectionFailed("x", sent=True), MODELS) is not None
    assert pause(ConnectionFailed("x", sent=True), CHAT) is None
    assert pause(ConnectionFailed("x", sent=False), CHAT) is not None


@pytest.mark.parametrize("call", [KEYED, CHAT])
def test_the_api_says_whether_a_retry_can_help(call: Call) -> None:
    for status in (400, 429, 500, 503):
        assert pause(refusal(status, headers={"x-should-retry": "false"}), call) is None
        assert pause(refusal(status, headers={"x-should-retry": "true"}), call) is not None


def test_what_is_no_answer_and_what_came_within_a_stream_are_final() -> None:
    assert pause(UnexpectedAnswer("x")) is None
    assert pause(stream_error({"error": {"type": "server_error"}}, {})) is None


@given(
    status=st.sampled_from([408, 429, 500, 503]),
    asked=st.one_of(st.none(), st.floats(0, 200)),
    chance=CHANCES,
    most=st.integers(1, 10),
)
def test_pauses_are_bounded_and_not_shorter_than_what_was_asked_for(
    status: int, asked: float | None, chance: float, most: int
) -> None:
    headers = {} if asked is None else {"Retry-After": str(asked)}
    tries = Tries(most, repeatable=True, patience=60, chance=lambda: chance)
    made = [tries.pause(refusal(status, headers=headers)) for _ in range(most + 1)]
    assert made[-1] is None
    if asked is not None and asked > LONGEST_PAUSE:
        assert made == [None] * len(made)
        return
    pauses = [one for one in made[:-1] if one is not None]
    assert len(pauses) == tries.retries == most
    assert all((asked or 0) <= one <= (asked or 0) + LAST_BACKOFF for one in pauses)


@given(chance=CHANCES, other=CHANCES, retries=st.integers(0, 9))
def test_the_jitter_is_full_and_grows_by_doubling(chance: float, other: float, retries: int) -> None:
    def backoff(chance: float, retries: int) -> float:
        made = Tries(10, repeatable=True, patience=60, chance=lambda: chance, retries=retries).pause(refusal(500))
        assert made is not None
        return made

    assert backoff(0, retries) == 0
    assert backoff(1, retries) == min(0.5 * 2**retries, LAST_BACKOFF)
    assert (backoff(chance, retries) <= backoff(other, retries)) == (chance <= other) or chance == other


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_time_that_is_none_is_passed_over(said: str) -> None:
    assert pause(refusal(503, headers={"Retry-After": said})) == 0.25


def test_an_endless_time_is_not_waited_for() -> None:
    assert pause(refusal(503, headers={"Retry-After": "inf"})) is None


def test_an_answer_in_flight_is_waited_for_as_long_as_a_silence_may_be() -> None:
    running = refusal(409, "idempotency_in_flight", {"Retry-After": "2"})
    tries = Tries(1, repeatable=True, patience=60, chance=lambda: 0.0)
    pauses = [tries.pause(running) for _ in range(40)]
    assert pauses[:30] == [2.0] * 30
    assert pauses[30:] == [None] * 10
    assert tries.retries == 0


def test_a_conflict_without_a_time_does_not_pass() -> None:
    assert pause(refusal(409, "idempotency_answer_not_kept", {"x-should-retry": "false"})) is None


def test_who_wants_no_retries_gets_none_and_no_key(carried: Carried) -> None:
    with pytest.raises(PenstockError):
        carried.whole(script(refused(503, Retry_After="1")), max_retries=0)
    assert (len(carried.requests), carried.pauses) == (1, [])
    assert "idempotency-key" not in carried.requests[0].headers


def test_every_try_of_a_whole_answer_has_the_same_key_and_every_answer_its_own(carried: Carried) -> None:
    answer = carried.whole(script(refused(500), refused(429, Retry_After="3"), good()))
    assert answer.reply.retries == 2
    assert carried.pauses[1] >= 3
    carried.whole(script(good()))
    keys = [request.headers["idempotency-key"] for request in carried.requests]
    assert len(set(keys[:3])) == 1
    assert len(set(keys)) == 2
    assert {request.content for request in carried.requests} == {CHAT.body}


def test_the_callers_own_key_is_the_one_that_is_sent(carried: Carried) -> None:
    carried.whole(script(refused(500), good()), KEYED)
    assert [request.headers["idempotency-key"] for request in carried.requests] == ["mine", "mine"]


def test_a_get_needs_no_key(carried: Carried) -> None:
    carried.whole(script(refused(500), good()), MODELS)
    assert all("idempotency-key" not in request.headers for request in carried.requests)
