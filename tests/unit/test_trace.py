"""Trace context as it comes in headers: what is well formed is passed on as it came, the rest is dropped."""

from collections.abc import Sequence

import pytest

from penstock.trace import Trace, read_callers_id, read_trace

# The examples of W3C's Trace Context and of X-Ray's developer guide.
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
STATE = "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"
AMAZON = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1"


class Sent:
    """Headers, each with its values."""

    def __init__(self, **values: str | list[str]) -> None:
        self._values = {name.replace("_", "-"): values for name, values in values.items()}

    def __call__(self, name: str) -> Sequence[str]:
        """The values of a header."""
        value = self._values.get(name.lower(), [])
        return [value] if isinstance(value, str) else value


def test_both_kinds_are_passed_on_and_the_first_names_the_trace() -> None:
    trace = read_trace(Sent(traceparent=PARENT, tracestate=STATE, x_amzn_trace_id=AMAZON))
    assert trace.id == "0af7651916cd43dd8448eb211c80319c"
    assert trace.headers == {"traceparent": PARENT, "tracestate": STATE, "X-Amzn-Trace-Id": AMAZON}


def test_amazons_alone_names_the_trace() -> None:
    assert read_trace(Sent(x_amzn_trace_id=AMAZON)) == Trace(
        "5759e988bd862e3fe1be46a994272793", {"X-Amzn-Trace-Id": AMAZON}
    )


def test_without_any_there_is_none() -> None:
    assert read_trace(Sent()) == Trace(None, {})


@pytest.mark.parametrize("parent", [PARENT, f"01{PARENT[2:]}", f"cc{PARENT[2:]}-what-the-future.will-be_like"])
def test_later_versions_are_passed_on_too(parent: str) -> None:
    assert read_trace(Sent(traceparent=parent)).headers == {"traceparent": parent}


@pytest.mark.parametrize(
    "parent",
    [
        "",
        PARENT.upper(),
        f"ff{PARENT[2:]}",
        f"{PARENT}-more",
        f"{PARENT} {PARENT}",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-0af7651916cd43dd8448eb211c80319c-{'0' * 16}-01",
        "00-0af7651916cd43dd8448eb211c80319-b7ad6b7169203331-01",
        f"01{PARENT[2:]}-{'a' * 200}",
        f"01{PARENT[2:]}-é",
    ],
)
def test_a_malformed_parent_is_dropped_with_its_state(parent: str) -> None:
    found = read_trace(Sent(traceparent=parent, tracestate=STATE, x_amzn_trace_id=AMAZON))
    assert found.headers == {"X-Amzn-Trace-Id": AMAZON}


def test_two_parents_are_none() -> None:
    assert read_trace(Sent(traceparent=[PARENT, PARENT])) == Trace(None, {})


def test_a_state_may_come_in_parts_and_with_gaps() -> None:
    found = read_trace(Sent(traceparent=PARENT, tracestate=["rojo=1", "", "fw529a3039@dt=a/b , congo=2"]))
    assert found.headers["tracestate"] == "rojo=1,,fw529a3039@dt=a/b , congo=2"


@pytest.mark.parametrize(
    "state", ["rojo", "Rojo=1", "rojo=", "rojo=1=2", "rojo=\x01", "a=1,é=2", "a=1," * 32, "a=" + "b" * 600]
)
def test_a_malformed_state_is_dropped_alone(state: str) -> None:
    assert read_trace(Sent(traceparent=PARENT, tracestate=state)).headers == {"traceparent": PARENT}


@pytest.mark.parametrize(
    "amazon",
    [
        AMAZON,
        "Root=1-5759e988-bd862e3fe1be46a994272793",
        "Self=1-67891234-12456789abcdef0123456789;Root=1-67891233-abcdef012345678912345678;CalledFrom=app",
        "Root=1-5759e988-bd862e3fe1be46a994272793;Lineage=a87bd80c:1|68fd508a:5",
    ],
)
def test_amazons_may_have_more_fields(amazon: str) -> None:
    assert read_trace(Sent(x_amzn_trace_id=amazon)).headers == {"X-Amzn-Trace-Id": amazon}


@pytest.mark.parametrize(
    "amazon",
    ["Root=1-5759e988-xmpl", "Parent=53995c3f42cd8ad8", f"{AMAZON};a=" + "b" * 200, f"{AMAZON}, {AMAZON}", "=1"],
)
def test_a_malformed_one_of_amazon_is_dropped(amazon: str) -> None:
    assert read_trace(Sent(x_amzn_trace_id=amazon)) == Trace(None, {})


def test_the_callers_own_id() -> None:
    assert read_callers_id(Sent(x_request_id="mine-1", x_client_request_id="mine-2")) == "mine-1"
    assert read_callers_id(Sent(x_client_request_id="mine-2")) == "mine-2"
    assert read_callers_id(Sent(x_request_id="not well formed")) is None
    assert read_callers_id(Sent()) is None
