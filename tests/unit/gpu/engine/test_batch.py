"""A step as tensors: every token at its place, and logits where they are wanted."""

from random import Random
from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.engine.batch import Batch, make_batch
from functions.gpu.engine.protocol import Sampling
from functions.gpu.engine.scheduler import Row
from functions.gpu.engine.sequence import Sequence

CPU = torch.device("cpu")


@st.composite
def rows(draw: st.DrawFn, page_tokens: int) -> list[Row]:
    found = []
    for number in range(draw(st.integers(1, 5))):
        length, answered = draw(st.integers(1, 12)), draw(st.integers(0, 4))
        ids = [100 * number + at for at in range(length + answered)]
        wanted = draw(st.sampled_from([None, 0]))
        sequence = Sequence(ids[:length], Sampling(max_tokens=9, prompt_logprobs=wanted), output=ids[length:])
        sequence.embeds = draw(st.booleans()) and wanted is None
        sequence.pages = list(range(50 * number, 50 * number + -(-len(ids) // page_tokens)))
        Random(number).shuffle(sequence.pages)
        start = draw(st.integers(0, len(ids) - 1))
        found.append(Row(sequence, start, draw(st.integers(start + 1, len(ids)))))
    return found


def slot(row: Row, at: int, page_tokens: int) -> int:
    return row.sequence.pages[at // page_tokens] * page_tokens + at % page_tokens


def wants(row: Row) -> range:
    """The positions of a row that give logits."""
    if row.sequence.sampling.prompt_logprobs is not None and row.start < len(row.sequence.prompt):
        return range(row.start, row.end)
    last = row.end == len(row.sequence) and not row.sequence.embeds
    return range(row.end - last, row.end)


@given(st.data(), st.integers(1, 5))
def test_every_token_is_at_its_place(data: st.DataObject, page_tokens: int) -> None:
    given = data.draw(rows(page_tokens))
    batch = make_batch(given, 0, page_tokens=page_tokens, device=CPU)
    tokens = [(row, at) for row in given for at in range(row.start, row.end)]
    assert batch.ids.tolist() == [[row.sequence.tokens(at, at + 1)[0] for row, at in tokens]]
    assert batch.positions.tolist() == [[at for _, at in tokens]]
    assert batch.slots.tolist() == [slot(row, at, page_tokens) for row, at in tokens]
    assert batch.keep.tolist() == [place for place, (row, at) in enumerate(tokens) if at in wants(row)]
    assert batch.kept == [(row, len(wants(row))) for row in given if wants(row)]
    assert {kind.dtype for kind in (batch.ids, batch.positions, batch.slots, batch.keep)} == {torch.int64}


def one(**options: Any) -> Batch:
    sequence = Sequence([7, 8, 9], Sampling(max_tokens=1, **options), pages=[4])
    return make_batch([Row(sequence, 0, 2)], 0, page_tokens=16, device=CPU)


def test_a_prompt_that_is_not_read_to_its_end_gives_no_logits() -> None:
    assert one().keep.tolist() == []
    assert one().kept == []


def test_all_of_it_does_where_its_probabilities_are_wanted() -> None:
    assert one(prompt_logprobs=0).keep.tolist() == [0, 1]
