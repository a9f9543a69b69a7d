"""The logs: one JSON object a line, whatever is logged, and no secrets by way of exceptions."""

import io
import sys
import threading
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from penstock.logs import MAX_ERRORS, MAX_PLACES, configure_logs

PROMPT = "my secret prompt"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    """Leave no configuration behind."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


class Lines:
    """What has been logged since the last look."""

    def __init__(self, stdout: io.StringIO) -> None:
        self._stdout = stdout

    def text(self) -> str:
        text = self._stdout.getvalue()
        self._stdout.seek(0)
        self._stdout.truncate()
        return text

    def read(self) -> list[dict[str, Any]]:
        return [orjson.loads(line) for line in self.text().splitlines()]


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> Lines:
    stdout = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stdout)
    configure_logs("edge", "info")
    return Lines(stdout)


def test_a_line_says_what_when_how_bad_and_where_from(lines: Lines) -> None:
    structlog.get_logger().info("request", status=200, model="demo")
    (line,) = lines.read()
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "request", "level": "info", "process": "edge", "status": 200, "model": "demo"}


def test_the_level_holds_back_what_is_below_it(lines: Lines) -> None:
    log = structlog.get_logger()
    log.debug("quiet")
    log.info("loud")
    assert [line["event"] for line in lines.read()] == ["loud"]


def test_every_thread_and_every_cleared_context_is_named(lines: Lines) -> None:
    structlog.contextvars.clear_contextvars()
    thread = threading.Thread(target=lambda: structlog.get_logger().info("from a thread"))
    thread.start()
    thread.join()
    assert [line["process"] for line in lines.read()] == ["edge"]


def test_a_requests_context_is_on_its_lines(lines: Lines) -> None:
    with structlog.contextvars.bound_contextvars(request_id="req_1"):
        structlog.get_logger().info("inside")
    structlog.get_logger().info("outside")
    assert [line.get("request_id") for line in lines.read()] == ["req_1", None]


@given(
    st.dictionaries(
        st.from_regex("[a-z_]{1,8}x", fullmatch=True), st.text() | st.integers() | st.binary() | st.floats()
    )
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_whatever_is_logged_is_one_object_on_one_line(lines: Lines, facts: dict[str, Any]) -> None:
    structlog.get_logger().info("event\nwith a line break", **facts)
    text = lines.text()
    assert text.endswith("\n")
    assert text.count("\n") == 1
    assert set(facts) <= set(orjson.loads(text))


@pytest.mark.parametrize("value", ["\ud800", 2**64, {1: "a"}, {"nested": {(1, 2)}}, object()])
def test_what_json_has_no_form_for_is_logged_all_the_same(lines: Lines, value: object) -> None:
    structlog.get_logger().info("odd", value=value, nan=float("nan"))
    (line,) = lines.read()
    assert {"event", "level", "process", "timestamp", "value", "nan"} == set(line)


# -- exceptions


def fail(prompt: str) -> None:
    answer = prompt.upper()
    raise ValueError(f"cannot answer {prompt} with {answer}")


def test_an_exception_is_its_types_and_places_and_never_a_value(lines: Lines) -> None:
    try:
        try:
            fail(PROMPT)
        except ValueError as error:
            raise RuntimeError(f"failed on {PROMPT}") from error
    except RuntimeError:
        structlog.get_logger().exception("failed")
    text = lines.text()
    assert PROMPT not in text
    assert PROMPT.upper() not in text
    line = orjson.loads(text)
    assert [error["type"] for error in line["exception"]] == ["RuntimeError", "ValueError"]
    assert line["exception"][1]["at"][-1].endswith(" fail")
    assert f"{__file__}:" in line["exception"][1]["at"][-1]


def test_an_exception_while_another_was_handled_shows_both(lines: Lines) -> None:
    try:
        try:
            fail(PROMPT)
        except ValueError:
            raise KeyError(PROMPT)  # noqa: B904
    except KeyError:
        structlog.get_logger().exception("failed")
    assert [error["type"] for error in lines.read()[0]["exception"]] == ["KeyError", "ValueError"]


def test_a_group_shows_its_members(lines: Lines) -> None:
    try:
        raise ExceptionGroup("several", [ValueError(PROMPT), ExceptionGroup("more", [OSError(PROMPT)])])
    except ExceptionGroup:
        structlog.get_logger().exception("failed")
    text = lines.text()
    assert PROMPT not in text
    types = [error["type"] for error in orjson.loads(text)["exception"]]
    assert sorted(types) == ["ExceptionGroup", "ExceptionGroup", "OSError", "ValueError"]


def test_an_exceptions_line_is_bounded(lines: Lines) -> None:
    def deeper(n: int) -> None:
        if n:
            deeper(n - 1)
        raise ExceptionGroup("many", [ValueError(str(i)) for i in range(100)])

    try:
        deeper(200)
    except ExceptionGroup:
        structlog.get_logger().exception("failed")
    (line,) = lines.read()
    assert len(line["exception"]) == MAX_ERRORS
    assert len(line["exception"][0]["at"]) == MAX_PLACES


def test_errors_that_caused_each_other_end(lines: Lines) -> None:
    first, second = ValueError("1"), ValueError("2")
    first.__cause__, second.__cause__ = second, first
    structlog.get_logger().error("failed", exc_info=first)
    assert len(lines.read()[0]["exception"]) == 2
