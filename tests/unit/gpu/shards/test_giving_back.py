"""A lease that is given back although the ledger is away at first."""

from typing import cast

import pytest

from functions.gpu.bookkeeper import Bookkeeper
from functions.gpu.shards import giving_back
from functions.gpu.shards.giving_back import give_back
from penstock.ledger import Lease
from tests.unit.gpu.lease import LEASE

pytestmark = pytest.mark.anyio


class Answering:
    """A bookkeeper that says this, one after the other; None is a ledger that is away."""

    def __init__(self, *answers: bool | None) -> None:
        self.left = list(answers)

    async def release(self, _: Lease) -> bool | None:
        return self.left.pop(0)


@pytest.mark.parametrize(
    ("answers", "left"),
    [([True, True], 1), ([False, True], 1), ([None, None, True, True], 1), ([None] * 6, 1)],
)
async def test_it_is_tried_until_the_ledger_answers_or_for_a_while(
    monkeypatch: pytest.MonkeyPatch, answers: list[bool | None], left: int
) -> None:
    monkeypatch.setattr(giving_back, "PAUSES_S", (0.0,) * 4)
    bookkeeper = Answering(*answers)
    await give_back(cast("Bookkeeper", bookkeeper), LEASE)
    assert len(bookkeeper.left) == left
