"""Values that have no meaning are refused by name."""

from math import inf, nan
from pathlib import Path
from typing import Any

import pytest

from functions.gpu.engine.options import EngineOptions


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"queue_limit": 0}, "queue_limit is 0, not at least 1"),
        ({"max_running": 0}, "max_running is 0, not at least 1"),
        ({"step_tokens": 0}, "step_tokens is 0, not at least 1"),
        ({"page_tokens": 0}, "page_tokens is 0, not at least 1"),
        ({"stretch": 1.0}, "stretch is 1.0, not over 1"),
        ({"stretch": nan}, "stretch is nan, not over 1"),
        ({"stretch": inf}, "stretch is inf, not over 1 and finite"),
        ({"step_tokens": 7, "max_running": 8}, "step_tokens is less than max_running"),
    ],
)
def test_a_value_without_meaning_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError, match=f"^{reason}"):
        EngineOptions(Path("model"), **options)


def test_the_smallest_values_are_taken() -> None:
    EngineOptions(Path("model"), queue_limit=1, max_running=1, step_tokens=1, page_tokens=1, stretch=1.01)
