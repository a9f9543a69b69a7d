"""Usage counted from events: the sum over prompts and choices, at every moment and in whatever order they come."""

from array import array

from hypothesis import given
from hypothesis import strategies as st

from functions.gpu.count import Count
from functions.gpu.engine import Delta, Finished, FinishReason, Prefilled
from functions.gpu.work import Embedded, Happening
from penstock.ledger import Usage

Prompt = tuple[int, int]  # tokens, and how many of them were cached


def events_of(place: int, prompt: Prompt, choices: list[int]) -> list[list[Happening]]:
    """The events of a prompt and, one list each, of its choices of so many tokens."""
    of_choices = []
    for number, tokens in enumerate(choices):
        index = place * len(choices) + number
        events: list[Happening] = [Delta("x", count, index) for count in range(1, tokens + 1)]
        of_choices.append([*events, Finished(FinishReason.STOP, tokens + 1, index)])
    return [[Prefilled(place, *prompt)], *of_choices]


@given(
    prompts=st.lists(st.tuples(st.integers(1, 50), st.integers(0, 50)).map(lambda p: (p[0], min(p))), min_size=1),
    lengths=st.lists(st.integers(0, 5), min_size=1, max_size=3),
    data=st.data(),
)
def test_the_sum_over_prompts_and_choices(prompts: list[Prompt], lengths: list[int], data: st.DataObject) -> None:
    queues = [queue for place, prompt in enumerate(prompts) for queue in events_of(place, prompt, lengths)]
    count, last = Count(), 0
    while queues:
        queue = data.draw(st.sampled_from(queues))
        count.add(queue.pop(0))
        assert count.usage.total_tokens >= last
        last = count.usage.total_tokens
        queues = [one for one in queues if one]
    written = len(prompts) * sum(length + 1 for length in lengths)
    assert count.usage == Usage(sum(p[0] for p in prompts), sum(p[1] for p in prompts), written)


def test_only_a_new_token_is_one() -> None:
    count = Count()
    told = [
        count.add(Prefilled(0, 5, 2)),
        count.add(Delta("", 1)),
        count.add(Delta("held back", 1)),
        count.add(Delta("two at once", 3)),
        count.add(Finished(FinishReason.LENGTH, 3)),
        count.add(Embedded(0, array("f"))),
    ]
    assert told == [False, True, False, True, False, False]
    assert count.usage == Usage(5, 2, 3)
