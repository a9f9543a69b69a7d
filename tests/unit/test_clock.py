"""Minutes, days and months of milliseconds since the epoch, UTC."""

import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.clock import MINUTE, SECOND, day_of, minute_of, month_of, next_minute, next_month, now_ms

moments = st.integers(0, 4_102_444_800_000)  # to the year 2100


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * SECOND)


@given(moments)
def test_the_next_minute_is_the_first_moment_of_another_minute(moment: int) -> None:
    following = next_minute(moment)
    assert 0 < following - moment <= MINUTE
    assert minute_of(following) == minute_of(moment) + 1
    assert minute_of(following - 1) == minute_of(moment)


@given(moments)
def test_the_next_month_is_the_first_moment_of_another_month(moment: int) -> None:
    following = next_month(moment)
    assert moment < following <= moment + 31 * 24 * 60 * MINUTE
    assert day_of(following) == f"{month_of(following)}-01"
    assert month_of(following - 1) == month_of(moment)
    assert month_of(following) > month_of(moment)


@given(moments)
def test_a_day_is_the_utc_date(moment: int) -> None:
    date = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=moment)
    assert day_of(moment) == date.date().isoformat()
    assert month_of(moment) == day_of(moment)[:7]


@pytest.mark.parametrize(
    ("moment", "month", "following"),
    [
        ("2026-12-31T23:59:59.999+00:00", "2026-12", "2027-01-01T00:00:00+00:00"),
        ("2028-02-29T12:00:00+00:00", "2028-02", "2028-03-01T00:00:00+00:00"),
        ("2026-04-01T00:00:00+02:00", "2026-03", "2026-04-01T00:00:00+00:00"),
    ],
)
def test_months_end_where_the_calendar_says(moment: str, month: str, following: str) -> None:
    assert month_of(at(moment)) == month
    assert next_month(at(moment)) == at(following)


def test_now_is_the_wall_clock() -> None:
    before = time.time_ns() // 1_000_000
    assert before <= now_ms() <= time.time_ns() // 1_000_000
