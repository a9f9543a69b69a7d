"""The book does what a plain model of it does, whatever is called in whatever order."""

import itertools

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from penstock.batches import Book
from tests.contract.book_trial import NUMBERS, BookTrial, Step

pytestmark = pytest.mark.anyio

VERBS = (
    *("add_file", "add_batch", "add_shards", "change_file", "change_batch", "change_shard"),
    *("change_batch", "remove_file", "remove_shards"),
)
steps = st.builds(
    Step,
    st.sampled_from(VERBS),
    st.integers(0, NUMBERS - 1),
    st.integers(0, 3),
    behind=st.sampled_from((0, 0, 0, 1, 2)),
    twice=st.booleans(),
)
# They begin with records that there are, so that what follows finds some.
beginnings = st.sampled_from((
    [],
    [Step("add_file", 1, 0), Step("add_file", 2, 0), Step("add_batch", 0, 0), Step("add_shards", 0, 0)],
    [Step("add_batch", number, 0) for number in range(NUMBERS)],
))  # fmt: skip
plans = st.tuples(beginnings, st.lists(steps, min_size=3, max_size=14)).map(lambda parts: parts[0] + parts[1])
names = (f"account{number}" for number in itertools.count())


def examples(count: int) -> settings:
    """So many, not shrunk: that takes minutes, and the message shows the last calls."""
    return settings(
        max_examples=count,
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@pytest.mark.parametrize("ledger_url", ["sqlite"], indirect=True)
@examples(60)
@given(plan=plans)
async def test_the_sqlite_book_does_what_the_model_does(book: Book, plan: list[Step]) -> None:
    await BookTrial(book, next(names)).run(plan)


@pytest.mark.parametrize("ledger_url", ["dynamodb"], indirect=True)
@examples(20)
@given(plan=plans)
async def test_the_dynamodb_book_does_what_the_model_does(book: Book, plan: list[Step]) -> None:
    await BookTrial(book, next(names)).run(plan)
