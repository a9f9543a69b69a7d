"""A set of custom ids is exact, as far as hashes of 64 bits are, and small."""

from hypothesis import given
from hypothesis import strategies as st

from functions.batch.custom_ids import CustomIds


@given(st.lists(st.binary(max_size=2)))
def test_each_id_is_new_once(ids: list[bytes]) -> None:
    kept, seen = CustomIds(), set[bytes]()
    for custom_id in ids:
        assert kept.add(custom_id) is (custom_id not in seen)
        seen.add(custom_id)


def test_it_grows_and_forgets_none() -> None:
    kept = CustomIds()
    ids = [b"request-%d" % number for number in range(20_000)]
    assert all(kept.add(custom_id) for custom_id in ids)
    assert not any(kept.add(custom_id) for custom_id in ids)
    assert 8 * len(kept._table) <= 32 * len(ids)  # bytes
