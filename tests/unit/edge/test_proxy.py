"""Asking again: for how long, how often, and not in step with others."""

from itertools import islice

import pytest

from functions.edge.proxy import FAILURES, FIRST_PAUSE, LAST_PAUSE, Patience, pauses
from penstock.errors import ApiError

pytestmark = pytest.mark.anyio


def test_pauses_grow_to_a_limit_and_are_never_nothing() -> None:
    longest = [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE, LAST_PAUSE, LAST_PAUSE, LAST_PAUSE]
    assert longest[3] == 8 * FIRST_PAUSE
    for _ in range(100):
        assert all(most / 2 <= pause <= most for pause, most in zip(islice(pauses(), 6), longest, strict=True))


def test_those_who_were_refused_together_do_not_come_again_together() -> None:
    assert len({next(pauses()) for _ in range(100)}) > 90


@pytest.mark.parametrize(
    ("status", "told"),
    [(503, (503, "model_starting")), (429, (503, "queue_full")), (502, (502, "upstream_error"))],
)
async def test_a_spent_budget_ends_it(status: int, told: tuple[int, str]) -> None:
    with pytest.raises(ApiError) as refused:
        await Patience(0).pause(status)
    assert (refused.value.status, refused.value.code) == told


async def test_failures_are_counted_over_the_whole_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functions.edge.proxy.FIRST_PAUSE", 0.0)
    patience = Patience(60)
    for _ in range(FAILURES - 1):
        await patience.pause(500)
        await patience.pause(503)
    with pytest.raises(ApiError, match="status 504"):
        await patience.pause(504)


@pytest.mark.parametrize(
    ("status", "code"), [(401, "gpu_credentials_refused"), (403, "gpu_credentials_refused"), (404, "upstream_error")]
)
async def test_what_will_not_pass_is_told_at_once(status: int, code: str) -> None:
    with pytest.raises(ApiError) as refused:
        await Patience(60).pause(status)
    assert (refused.value.status, refused.value.code) == (502, code)
