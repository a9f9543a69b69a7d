"""Tickets: what one holds comes back whole, and nothing else is ever believed."""

import base64
import hashlib
import hmac
import string
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from penstock.clock import MINUTE, SECOND
from penstock.ledger import Bound, Lease
from penstock.ledger.records import MOST, MOST_REQUESTS
from penstock.prices import Price
from penstock.ticket import CLOCK_SKEW, MAX_LENGTH, InvalidTicket, Ticket, TicketKeys, hash_body

NOW = 1_790_000_000_000
OLD, NEW = b"old secret, of 32 bytes or more.", b"new secret, of 32 bytes or more."
KEYS = TicketKeys({"k1": OLD})

LEASE = Lease(
    id="req_0123456789abcdef01234567",
    account_id="acc_1",
    key_id="abcdefghijkl",
    model="demo",
    bound=Bound(tokens=256, nano=51_200),
    price=Price(version="2026-01-01", prompt=100, cached_prompt=50, completion=200),
    reserved_at=NOW,
    deadline=NOW + 5 * MINUTE,
)
TICKET = Ticket(LEASE, hash_body(b'{"model":"demo"}'), NOW + 5 * MINUTE)
SIGNED = KEYS.sign(TICKET)

whole = st.integers(min_value=0, max_value=MOST)
names = st.text(alphabet=st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40)
leases = st.builds(
    Lease,
    id=names,
    account_id=names,
    key_id=names,
    model=names,
    bound=st.builds(Bound, whole, whole),
    price=st.builds(Price, names, whole, whole, whole),
    reserved_at=whole,
    deadline=whole,
    requests=st.integers(1, MOST_REQUESTS),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=24,
)


def signed_by(key_id: str, secret: bytes, payload: bytes) -> str:
    """Any payload under a true signature."""
    text = f"{key_id}.{_encode(payload)}"
    return f"{text}.{_encode(hmac.digest(secret, text.encode(), 'sha256'))}"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(text: str, *, keys: TicketKeys = KEYS, now: int = NOW) -> str:
    """Why the ticket is refused."""
    with pytest.raises(InvalidTicket) as caught:
        keys.verify(text, now=now)
    return str(caught.value)


@given(leases, whole, st.binary(max_size=64))
def test_a_ticket_comes_back_whole(lease: Lease, expires_at: int, body: bytes) -> None:
    ticket = Ticket(lease, hash_body(body), expires_at)
    text = KEYS.sign(ticket)
    assume(len(text) <= MAX_LENGTH)
    assert KEYS.verify(text, now=min(expires_at, NOW)) == ticket


def test_it_fits_a_header_and_a_query_string() -> None:
    assert set(SIGNED) <= set(string.ascii_letters + string.digits + "-_.")
    assert len(SIGNED) < 600


@given(st.integers(0, len(SIGNED) - 1), st.characters())
def test_any_changed_character_is_refused(place: int, character: str) -> None:
    assume(SIGNED[place] != character)
    refused(SIGNED[:place] + character + SIGNED[place + 1 :])


@given(st.integers(0, len(SIGNED)), st.text(min_size=1, max_size=4))
def test_anything_inserted_is_refused(place: int, text: str) -> None:
    refused(SIGNED[:place] + text + SIGNED[place:])


@given(st.integers(0, len(SIGNED) - 1))
def test_a_ticket_cut_short_is_refused(length: int) -> None:
    refused(SIGNED[:length])


@given(st.text() | st.text(alphabet=string.ascii_letters + string.digits + "-_.="))
def test_garbage_is_refused(text: str) -> None:
    refused(text)


def test_a_ticket_over_the_limit_is_refused_unread() -> None:
    assert refused("k1." + "A" * MAX_LENGTH) == "malformed"


def test_a_ticket_of_another_key_under_the_same_id_is_forged() -> None:
    assert refused(TicketKeys({"k1": NEW}).sign(TICKET)) == "forged"


def test_the_signature_covers_the_key_id() -> None:
    both = TicketKeys({"k1": OLD, "k2": OLD})
    assert both.verify(SIGNED, now=NOW) == TICKET
    assert refused("k2" + SIGNED.removeprefix("k1"), keys=both) == "forged"


# -- rotation


def test_the_first_key_signs_and_every_key_verifies() -> None:
    rotating = TicketKeys({"k2": NEW, "k1": OLD})
    assert rotating.verify(SIGNED, now=NOW) == TICKET
    assert rotating.sign(TICKET).startswith("k2.")
    assert refused(rotating.sign(TICKET)) == "forged"


def test_a_key_that_was_taken_out_verifies_nothing() -> None:
    assert refused(SIGNED, keys=TicketKeys({"k2": NEW})) == "forged"


def test_an_unknown_key_id_costs_the_same_work_and_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[str, str]] = []
    compare = hmac.compare_digest

    def watch(ours: str, theirs: str) -> bool:
        compared.append((ours, theirs))
        return compare(ours, theirs)

    monkeypatch.setattr("penstock.ticket.hmac.compare_digest", watch)
    # Under an unknown id, yet truly signed with the current key: still not to be believed.
    assert refused(signed_by("k9", OLD, orjson.dumps([1]))) == "forged"
    KEYS.verify(SIGNED, now=NOW)
    assert len(compared) == 2
    assert all(len(ours) == len(theirs) for ours, theirs in compared)


@pytest.mark.parametrize("requests", [0, -1, MOST_REQUESTS + 1, "2", True, None])
def test_a_wrong_number_of_requests_is_refused(requests: object) -> None:
    payload = _real_payload()
    payload[0].append(requests)
    assert refused(signed_by("k1", OLD, orjson.dumps(payload))) == "of another version"


def test_only_a_lease_of_several_requests_says_how_many() -> None:
    """Programs of before and after a release read the same ticket."""
    several = KEYS.sign(replace(TICKET, lease=replace(LEASE, requests=64)))
    assert KEYS.verify(several, now=NOW).lease.requests == 64
    assert len(_payload_of(several)[0]) == len(_payload_of(SIGNED)[0]) + 1
    assert KEYS.verify(SIGNED, now=NOW).lease.requests == 1


# -- expiry


@given(st.integers(0, CLOCK_SKEW))
def test_a_ticket_lasts_until_it_expires_and_for_the_clocks_difference(late: int) -> None:
    assert KEYS.verify(SIGNED, now=TICKET.expires_at + late) == TICKET


@given(st.integers(1, 2**40))
def test_after_that_it_is_expired(late: int) -> None:
    assert refused(SIGNED, now=TICKET.expires_at + CLOCK_SKEW + late) == "expired"


def test_a_clock_that_is_behind_does_not_matter() -> None:
    assert KEYS.verify(SIGNED, now=NOW - 30 * SECOND) == TICKET


# -- payloads of another shape, truly signed


@given(json_values)
def test_a_payload_of_another_shape_is_refused(payload: Any) -> None:
    assert refused(signed_by("k1", OLD, orjson.dumps(payload))) == "of another version"


@given(st.binary(max_size=200))
def test_a_payload_that_is_not_json_is_refused(payload: bytes) -> None:
    try:
        orjson.loads(payload)
    except orjson.JSONDecodeError:
        assert refused(signed_by("k1", OLD, payload)) == "of another version"


def _real_payload() -> list[Any]:
    return _payload_of(SIGNED)


def _payload_of(text: str) -> list[Any]:
    payload = text.split(".")[1]
    loaded = orjson.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    assert isinstance(loaded, list)
    return loaded


PARTS = _real_payload()
PLACES = [(i, -1) for i in range(len(PARTS))]
PLACES += [(i, j) for i, part in enumerate(PARTS) if isinstance(part, list) for j in range(len(part))]


@given(st.sampled_from(PLACES), json_values)
def test_a_payload_with_one_part_of_another_type_is_refused(place: tuple[int, int], value: Any) -> None:
    payload = _real_payload()
    i, j = place
    part = payload[i] if j < 0 else payload[i][j]
    assume(type(value) is not type(part))
    if j < 0:
        payload[i] = value
    else:
        payload[i][j] = value
    assert refused(signed_by("k1", OLD, orjson.dumps(payload))) == "of another version"


@given(st.sampled_from([i for i, part in enumerate(PARTS) if isinstance(part, list)]), st.data())
def test_a_payload_with_too_few_or_too_many_parts_is_refused(place: int, data: st.DataObject) -> None:
    payload = _real_payload()
    there = len(payload[place])
    # What is said of the lease may end with its number of requests.
    right = (there, there + 1) if place == 0 else (there,)
    length = data.draw(st.integers(0, there + 3).filter(lambda length: length not in right))
    payload[place] = [*payload[place], 1, 1, 1][:length]
    assert refused(signed_by("k1", OLD, orjson.dumps(payload))) == "of another version"


@pytest.mark.parametrize("payload", ["not base64!", "A", "_", "====", "é"])
def test_a_payload_that_is_not_base64_is_refused(payload: str) -> None:
    text = f"k1.{payload}"
    refused(f"{text}.{_encode(hmac.digest(OLD, text.encode(), 'sha256'))}")


def test_a_deeply_nested_payload_is_refused() -> None:
    assert refused(signed_by("k1", OLD, b"[" * 1_400)) == "of another version"


# -- keys as they are written in the settings

A, B = base64.b64encode(OLD).decode(), base64.b64encode(NEW).decode()


def test_keys_are_read_in_order() -> None:
    keys = TicketKeys.parse(f"k2:{B}, k1:{A}")
    assert keys.sign(TICKET) == TicketKeys({"k2": NEW, "k1": OLD}).sign(TICKET)
    assert keys.verify(SIGNED, now=NOW) == TICKET


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "number 1 is not id:base64"),
        (A, "number 1 is not id:base64"),
        (f"k1:{A},k1:{B}", "number 2 is not id:base64"),
        (f"k1:{A},", "number 2 is not id:base64"),
        (f"k.1:{A}", "number 1 is not id:base64"),
        (f"schlüssel:{A}", "number 1 is not id:base64"),
        (f"k1:{A},k2:{B}!", "number 2 has a secret that is not base64"),
        (f"k1:{A},k2:ü", "number 2 has a secret that is not base64"),
        ("k1:c2hvcnQ=", "at least 32 bytes"),
    ],
)
def test_wrong_keys_are_refused_by_their_place(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says) as caught:
        TicketKeys.parse(text)
    assert "c2hvcnQ" not in str(caught.value)
    assert A[:8] not in str(caught.value)


def test_a_secret_written_where_the_id_belongs_is_not_shown() -> None:
    secret = hashlib.sha256(b"seed").hexdigest()[:32]
    with pytest.raises(ValueError, match="number 1") as caught:
        TicketKeys.parse(f"{secret}:k")
    assert secret not in str(caught.value)


def test_a_ticket_binds_each_of_its_parts() -> None:
    others = [
        replace(TICKET, body_hash=hash_body(b"another")),
        replace(TICKET, expires_at=NOW),
        replace(TICKET, lease=replace(LEASE, model="other")),
        replace(TICKET, lease=replace(LEASE, bound=Bound(1, 1))),
        replace(TICKET, lease=replace(LEASE, account_id="acc_2")),
    ]
    assert len({KEYS.sign(ticket) for ticket in [TICKET, *others]}) == 6
