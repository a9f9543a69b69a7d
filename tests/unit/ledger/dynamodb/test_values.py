"""Values are read as they were written, in the form that DynamoDB gives them."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.ledger.dynamodb.values import Value, from_wire, item_from_wire, item_to_wire, to_wire
from penstock.ledger.records import MOST

values: st.SearchStrategy[Any] = st.recursive(
    st.text() | st.integers(-(10**20), 10**20) | st.binary() | st.booleans(),
    lambda inner: st.dictionaries(st.text(min_size=1), inner, max_size=4),
    max_leaves=10,
)


@given(st.dictionaries(st.text(min_size=1), values, max_size=5))
def test_an_item_is_read_as_it_was_written(item: dict[str, Value]) -> None:
    found = item_from_wire(item_to_wire(item))
    assert found == item
    assert {name: type(value) for name, value in found.items()} == {name: type(value) for name, value in item.items()}


@pytest.mark.parametrize(
    ("value", "wire"),
    [
        ("", {"S": ""}),
        (0, {"N": "0"}),
        (-MOST, {"N": "-10000000000000000"}),
        (True, {"BOOL": True}),
        (b"\x00", {"B": b"\x00"}),
        ({}, {"M": {}}),
        ({"a": {"b": 1}}, {"M": {"a": {"M": {"b": {"N": "1"}}}}}),
    ],
)
def test_a_value_has_the_form_that_dynamodb_gives_it(value: Value, wire: dict[str, Any]) -> None:
    assert to_wire(value) == wire
    assert from_wire(wire) == value
