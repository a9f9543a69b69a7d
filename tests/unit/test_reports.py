"""Reports: whatever usage is added up by, it comes to the same."""

import csv
import io
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from penstock.ledger import Usage, UsageRow
from penstock.prices import NANO, nano_of
from penstock.reports import COUNTS, GROUPS, csv_text, grouped, total

COUNT = st.integers(0, 10**12)
ROWS = st.lists(
    st.builds(
        UsageRow,
        account_id=st.sampled_from(["a", "b"]),
        key_id=st.sampled_from(["k1", "k2", "k3"]),
        model=st.sampled_from(["demo", "acme/large", 'odd, "quoted"']),
        day=st.sampled_from(["2026-01-01", "2026-01-02"]),
        requests=COUNT,
        usage=st.builds(lambda prompt, cached, new: Usage(prompt + cached, cached, new), COUNT, COUNT, COUNT),
        nano=COUNT,
    ),
    max_size=20,
)
BY = st.lists(st.sampled_from(GROUPS), unique=True)


@given(ROWS, BY)
def test_every_grouping_adds_up_to_the_total(rows: Sequence[UsageRow], by: Sequence[str]) -> None:
    lines, whole = grouped(rows, by), total(rows)
    assert [name for line in lines for name, _ in line.group] == [n for n in GROUPS if n in by] * len(lines)
    assert [line.group for line in lines] == sorted({line.group for line in lines})
    assert sum(line.nano for line in lines) == whole.nano == sum(row.nano for row in rows)
    for count in COUNTS:
        assert sum(line.as_json()[count] for line in lines) == whole.as_json()[count]


@given(ROWS, st.sampled_from(["demo", "nothing"]))
def test_one_model_is_what_its_rows_are(rows: Sequence[UsageRow], model: str) -> None:
    of_model = [row for row in rows if row.model == model]
    assert grouped(rows, GROUPS, model) == grouped(of_model, GROUPS)
    assert total(rows, model) == total(of_model)


@given(ROWS, BY)
def test_csv_reads_back_to_the_same_numbers(rows: Sequence[UsageRow], by: Sequence[str]) -> None:
    lines = grouped(rows, by)
    text = csv_text(lines, by)
    assert text.count("\n") == text.count("\r\n") == len(lines) + 1
    read = list(csv.DictReader(io.StringIO(text)))
    assert read == [{name: str(value) for name, value in line.as_json().items()} for line in lines]
    for row in read:
        assert nano_of(row["cost_usd"]) == int(row["cost_nano_usd"])
        assert int(row["cost_nano_usd"]) // NANO == int(row["cost_usd"].partition(".")[0])
