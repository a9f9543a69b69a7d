"""A settlement as it is written down: complete, pinned, and believed only where it is whole."""

from dataclasses import fields, replace

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.settlement import Settlement
from penstock.ledger import Bound, Lease, Usage
from penstock.ledger.records import MOST_REQUESTS
from penstock.prices import Price
from tests.unit.gpu.lease import LEASE

SETTLEMENT = Settlement(replace(LEASE, tight=True), Usage(7, 2, 5), "completed")
WRITTEN = (
    b'{"version":1,"lease":{"id":"req_1","account_id":"acme","key_id":"key_1","model":"demo",'
    b'"bound":{"tokens":1024,"nano":409600},"price":{"version":"2026-01-01","prompt":100,"cached_prompt":50,'
    b'"completion":400},"reserved_at":1750000000000,"deadline":1750000060000,"tight":true,"requests":1},'
    b'"usage":{"prompt_tokens":7,"cached_prompt_tokens":2,"completion_tokens":5},"outcome":"completed"}\n'
)

ids = st.text(max_size=40)
counts = st.integers(0, 10**12)
leases = st.builds(
    Lease,
    id=ids,
    account_id=ids,
    key_id=ids,
    model=ids,
    bound=st.builds(Bound, counts, counts),
    price=st.builds(Price, ids, counts, counts, counts),
    reserved_at=counts,
    deadline=counts,
    tight=st.booleans(),
    requests=st.integers(1, MOST_REQUESTS),
)
usages = st.builds(
    lambda prompt, cached, completion: Usage(prompt + cached, cached, completion), counts, counts, counts
)


def test_the_format_is_pinned() -> None:
    assert SETTLEMENT.written() == WRITTEN


def test_one_of_before_leases_had_a_number_of_requests_is_of_one() -> None:
    assert Settlement.read(WRITTEN.replace(b',"requests":1', b"")) == SETTLEMENT


@given(st.builds(Settlement, leases, usages, ids))
def test_what_is_written_is_what_is_read(settlement: Settlement) -> None:
    read = Settlement.read(settlement.written())
    assert read == settlement
    # Also what a lease leaves out when it is compared.
    assert all(getattr(read.lease, one.name) == getattr(settlement.lease, one.name) for one in fields(Lease))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        WRITTEN[:-20],
        b"null",
        b"[]",
        b"\x00" * 600,
        b"\xff\xfe",
        WRITTEN.replace(b'"version":1', b'"version":2'),
        WRITTEN.replace(b'"version":1,', b""),
        WRITTEN.replace(b'"completion_tokens":5', b'"completion_tokens":"5"'),
        WRITTEN.replace(b'"completion_tokens":5', b'"completion_tokens":5.0'),
        WRITTEN.replace(b'"completion_tokens":5', b'"completion_tokens":-5'),
        WRITTEN.replace(b'"cached_prompt_tokens":2', b'"cached_prompt_tokens":8'),
        WRITTEN.replace(b'"tokens":1024', b'"tokens":true'),
        WRITTEN.replace(b'"requests":1', b'"requests":0'),
        WRITTEN.replace(b'"price":', b'"cost":'),
        WRITTEN.replace(b'"outcome":"completed"', b'"outcome":null'),
    ],
)
def test_anything_else_is_refused(text: bytes) -> None:
    assert text != WRITTEN
    with pytest.raises(ValueError):  # noqa: PT011 (pydantic's, with as many messages as there are faults)
        Settlement.read(text)


@given(st.data())
def test_a_piece_of_one_is_refused(data: st.DataObject) -> None:
    whole = orjson.dumps(orjson.loads(WRITTEN))
    with pytest.raises(ValueError):  # noqa: PT011
        Settlement.read(whole[: data.draw(st.integers(0, len(whole) - 1))])
