"""The bill is the exact sum of the lines, however they are cut."""

from datetime import date
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.batching.bill import Bill
from penstock.models import ModelTable, ServedModel

NOW = 1_800_000_000_000  # milliseconds
PRICE = {"effective": date(2026, 1, 1), "prompt": "0.10", "cached_prompt": "0.05", "completion": "0.40"}


def model(name: str, batch: str) -> ServedModel:
    fields = {"name": name, "source": "./m", "context_length": 100, "prices": [{**PRICE, "batch": Decimal(batch)}]}
    return ServedModel.model_validate(fields)


TABLE = ModelTable([model("half", "0.5"), model("whole", "1")])


def answer(name: str, prompt: int, cached: int = 0, completion: int | None = None) -> bytes:
    usage: dict[str, Any] = {"prompt_tokens": prompt, "total_tokens": prompt}
    if completion is not None:
        usage |= {"completion_tokens": completion, "prompt_tokens_details": {"cached_tokens": cached}}
    body = {"model": name, "usage": usage, "data": [0.5]}
    return orjson.dumps({"custom_id": "é", "response": {"status_code": 200, "body": body}, "error": None}) + b"\n"


def test_each_line_at_the_batch_price_of_its_model() -> None:
    bill = Bill(TABLE, NOW)
    bill.add(answer("half", 10, 4, 3) + answer("whole", 10, 4, 3) + answer("half", 7) + answer("gone", 1, 0, 1))
    assert (bill.prompt, bill.cached, bill.completion) == (28, 8, 7)
    whole = 6 * 100 + 4 * 50 + 3 * 400
    assert bill.nano == whole // 2 + whole + 7 * 50


@given(st.lists(st.integers(1, 300), max_size=30))
def test_the_parts_in_which_it_comes_do_not_matter(cuts: list[int]) -> None:
    output = b"".join(answer("half", number, 0, 1) for number in range(1, 9))
    whole, cut = Bill(TABLE, NOW), Bill(TABLE, NOW)
    whole.add(output)
    rest = output
    for size in cuts:
        cut.add(rest[:size])
        rest = rest[size:]
    cut.add(rest)
    assert (cut.prompt, cut.completion, cut.nano) == (whole.prompt, whole.completion, whole.nano)


def test_a_line_that_is_no_answer_is_a_defect() -> None:
    with pytest.raises(ValueError, match="response"):
        Bill(TABLE, NOW).add(b"{}\n")
