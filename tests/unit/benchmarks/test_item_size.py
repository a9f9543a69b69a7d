"""Sizes and units as AWS documents them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.ledger.item_size import item_bytes, read_units, write_units


@pytest.mark.parametrize(
    ("item", "size"),
    [
        ({}, 0),
        ({"pk": "a"}, 3),
        ({"ü": "ß"}, 4),  # bytes of UTF-8, not characters
        ({"n": 0}, 2),
        ({"n": 7}, 3),
        ({"n": 12_345}, 5),  # three pairs of digits, and one byte
        ({"n": 12_300}, 4),  # zeros at the end are trimmed
        ({"on": True}, 3),
        ({"body": b"\x00" * 10}, 14),
        ({"live": {}}, 7),
        ({"live": {"a": "bc"}}, 11),  # 7, then one byte, the name, the value
    ],
)
def test_an_item_is_its_names_and_its_values(item: dict[str, object], size: int) -> None:
    assert item_bytes(item) == size


@pytest.mark.parametrize(("size", "units"), [(0, 1), (1_024, 1), (1_025, 2), (61_440, 60)])
def test_a_write_is_charged_by_the_kilobyte_begun(size: int, units: int) -> None:
    assert write_units(size) == units


@pytest.mark.parametrize(("size", "units"), [(0, 1), (4_096, 1), (4_097, 2)])
def test_a_read_is_charged_by_four_kilobytes_begun(size: int, units: int) -> None:
    assert read_units(size) == units


@given(st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.booleans()), st.text(max_size=8))
def test_one_more_entry_in_a_map_is_its_size_and_a_byte(entries: dict[str, object], name: str) -> None:
    more = {**entries, f"{name}!": "value"}
    if f"{name}!" in entries:
        return
    assert item_bytes({"map": more}) - item_bytes({"map": entries}) == 1 + item_bytes({f"{name}!": "value"})
