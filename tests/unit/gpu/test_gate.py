"""The gate: which tickets are let in, how often, and what is remembered of them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from functions.gpu import gate as gate_module
from functions.gpu.gate import MAX_QUERY, Gate, match
from penstock.errors import ApiError, BodyTooLarge, Conflict, Forbidden, Unauthenticated
from penstock.ticket import CLOCK_SKEW, Ticket, TicketKeys, hash_body
from tests.unit.gpu.lease import LEASE, NOW

KEYS = TicketKeys({"a": b"a" * 32})
BODY = b"{}"


def ticket_of(lease_id: str = "req_1", *, model: str = "demo", expires_at: int = NOW + 60_000) -> Ticket:
    return Ticket(replace(LEASE, id=lease_id, model=model), hash_body(BODY), expires_at)


def scope_of(*headers: str, query: bytes = b"") -> Scope:
    return {
        "type": "http",
        "headers": [(b"penstock-ticket", header.encode("latin-1")) for header in headers],
        "query_string": query,
    }


@pytest.fixture
def gate() -> Gate:
    return Gate(KEYS, "demo")


def test_a_good_ticket_is_let_in_once(gate: Gate) -> None:
    signed = KEYS.sign(ticket_of())
    assert gate.admit(scope_of(signed), NOW) == ticket_of()
    with pytest.raises(Conflict) as refusal:
        gate.admit(scope_of(query=f"ticket={signed}".encode()), NOW)
    assert refusal.value.code == "ticket_used"


def test_a_forgotten_ticket_is_let_in_again(gate: Gate) -> None:
    signed = KEYS.sign(ticket_of())
    gate.admit(scope_of(signed), NOW)
    gate.forget("req_1")
    gate.forget("req_never_seen")
    assert gate.admit(scope_of(signed), NOW) == ticket_of()


def test_a_refused_ticket_is_not_remembered(gate: Gate) -> None:
    with pytest.raises(Forbidden):
        gate.admit(scope_of(KEYS.sign(ticket_of(model="other"))), NOW)
    assert gate.admit(scope_of(KEYS.sign(ticket_of())), NOW) == ticket_of()


def test_what_is_remembered_is_bounded_by_time(gate: Gate) -> None:
    for number in range(50):
        at = NOW + number * 1_000
        gate.admit(scope_of(KEYS.sign(ticket_of(f"req_{number}", expires_at=at + 1_000))), at)
    assert len(gate._seen) <= 3 + CLOCK_SKEW // 1_000


def test_an_expired_ticket_that_is_no_longer_remembered_is_refused_all_the_same(gate: Gate) -> None:
    signed = KEYS.sign(ticket_of(expires_at=NOW))
    gate.admit(scope_of(signed), NOW)
    later = NOW + CLOCK_SKEW + 1
    gate.admit(scope_of(KEYS.sign(ticket_of("req_2"))), later)
    assert "req_1" not in gate._seen
    with pytest.raises(Unauthenticated, match="expired"):
        gate.admit(scope_of(signed), later)


def test_what_is_remembered_is_bounded_in_number(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gate_module, "MAX_SEEN", 3)
    for number in range(10):
        gate.admit(scope_of(KEYS.sign(ticket_of(f"req_{number}"))), NOW)
    assert list(gate._seen) == ["req_7", "req_8", "req_9"]


def test_a_query_is_read_up_to_a_bound(gate: Gate) -> None:
    with pytest.raises(BodyTooLarge):
        gate.admit(scope_of(query=b"x=1&" * MAX_QUERY), NOW)


def test_the_body_must_be_the_tickets() -> None:
    match(ticket_of(), BODY)
    with pytest.raises(Forbidden):
        match(ticket_of(), BODY + b" ")


@given(st.text(st.characters(codec="latin-1"), max_size=400), st.binary(max_size=400))
def test_nothing_but_a_ticket_gets_in(header: str, query: bytes) -> None:
    for scope in (scope_of(header), scope_of(query=query), scope_of(query=b"ticket=" + query)):
        with pytest.raises(Unauthenticated) as refusal:
            Gate(KEYS, "demo").admit(scope, NOW)
        assert refusal.value.code == "invalid_ticket"


@given(st.data())
def test_no_changed_ticket_gets_in_and_none_is_repeated(data: st.DataObject) -> None:
    signed = KEYS.sign(ticket_of())
    at = data.draw(st.integers(0, len(signed) - 1))
    other = data.draw(st.characters(codec="ascii").filter(lambda character: character != signed[at]))
    changed = signed[:at] + other + signed[at + 1 :]
    with pytest.raises(ApiError) as refusal:
        Gate(KEYS, "demo").admit(scope_of(changed), NOW)
    assert refusal.value.status == 401
    assert changed not in refusal.value.message
