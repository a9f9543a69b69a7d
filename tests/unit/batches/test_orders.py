"""Orders and outcomes, as they travel."""

from typing import Any

import pytest

from penstock.batches.orders import Order, Outcome
from penstock.ledger import Usage

ORDER = Order("batch_1", 7, "demo", "acme", "key_1", 1_800_000_000_000)


def test_an_order_is_read_as_it_was_written() -> None:
    assert Order.read(ORDER.written()) == ORDER


@pytest.mark.parametrize(
    ("order", "said"),
    [
        ({**ORDER.written(), "shard": "7"}, "shard: Input should be a valid integer"),
        ({name: value for name, value in ORDER.written().items() if name != "key_id"}, "key_id: "),
        ({}, "batch_id: "),
        ([], "it: "),
        (None, "it: "),
        ({"batch_id": object()}, "it is no JSON"),
    ],
)
def test_what_is_no_order_is_refused_in_one_line(order: Any, said: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 (the text is the subject)
        Order.read(order)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_an_outcome_is_read_as_it_was_written() -> None:
    outcome = Outcome(3, 1, Usage(5, 2, 9))
    assert Outcome.read(outcome.written()) == outcome
