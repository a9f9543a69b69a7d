"""Who gets free places: accounts alike, and of an account's batches the least served; whatever the order of things."""

from collections import Counter
from dataclasses import replace
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from functions.batch.fairness import PATIENCE, Open, Places, chosen, displaced
from penstock.batches.records import Batch, Shard, ShardState
from tests.unit.batch.inputs import BATCH, NOW

LATER = NOW + PATIENCE + 1


def open_batch(number: int, account: str, waiting: int, running: int = 0, model: str = "talker") -> Open:
    """A batch, the later made the higher its number."""
    batch = replace(BATCH, id=f"batch_{number:08}", account_id=account)
    states = [ShardState.RUNNING] * running + [ShardState.WAITING] * waiting
    return Open(batch, [Shard(batch.id, place, 0, model, 1, 1, state) for place, state in enumerate(states)])


def places(of_model: int, of_account: int = 1_000) -> Places:
    """So many places of every model, and of every account."""
    return Places(lambda _: of_model, of_account)


def of(choices: list[tuple[Batch, Shard]]) -> list[tuple[str, int]]:
    return [(batch.id.removeprefix("batch_").lstrip("0"), shard.number) for batch, shard in choices]


def test_one_batch_has_all_places_and_its_shards_go_in_their_order() -> None:
    assert of(chosen([open_batch(1, "acme", 5)], places(3), NOW)) == [("1", 0), ("1", 1), ("1", 2)]


def test_a_large_batch_leaves_half_the_places_to_another_account() -> None:
    large, small = open_batch(1, "acme", 100), open_batch(2, "small", 100)
    assert Counter(batch.account_id for batch, _ in chosen([large, small], places(10), NOW)) == {
        "acme": 5,
        "small": 5,
    }


def test_who_has_nothing_under_way_comes_first() -> None:
    large, small = open_batch(1, "acme", 100, running=7), open_batch(2, "small", 2)
    assert of(chosen([large, small], places(10), NOW)) == [("2", 0), ("2", 1), ("1", 7)]


def test_of_an_account_s_batches_the_least_served_comes_first_and_then_the_oldest() -> None:
    first, second = open_batch(1, "acme", 10, running=1), open_batch(2, "acme", 10)
    third = open_batch(3, "acme", 10)
    assert of(chosen([third, second, first], places(5), NOW)) == [("2", 0), ("3", 0), ("1", 1), ("2", 1)]


def test_an_account_with_many_batches_has_no_more_than_one_with_one() -> None:
    many = [open_batch(number, "acme", 5) for number in range(1, 9)]
    assert Counter(batch.account_id for batch, _ in chosen([*many, open_batch(9, "small", 9)], places(6), NOW)) == {
        "acme": 3,
        "small": 3,
    }


def test_models_have_places_of_their_own() -> None:
    batches = [open_batch(1, "acme", 3, running=2), open_batch(2, "acme", 3, model="other")]
    assert of(chosen(batches, Places({"talker": 2, "other": 1}.__getitem__, 9), NOW)) == [("2", 0)]


def test_a_shard_that_waits_for_its_time_is_not_sent() -> None:
    batch = open_batch(1, "acme", 2)
    later = replace(batch.shards[0], since=NOW + 1)
    assert of(chosen([Open(batch.batch, [later, batch.shards[1]])], places(2), NOW)) == [("1", 1)]


def taken_back(*batches: Open, of: Places | None = None, now: int = LATER) -> list[tuple[str, int]]:
    return [(shard.batch_id[-1], shard.number) for shard in displaced(batches, of or places(4), now)]


def since(batch: Open, *times: int) -> Open:
    """The same, its shards at that state since then."""
    return Open(batch.batch, [replace(shard, since=at) for shard, at in zip(batch.shards, times, strict=True)])


def test_whoever_has_nothing_for_long_gets_a_place_of_who_has_most() -> None:
    large = since(open_batch(1, "acme", 0, running=3), NOW, NOW - 1, NOW)
    other, small = since(open_batch(2, "third", 0, running=1), NOW - 9), since(open_batch(3, "small", 1), NOW)
    assert taken_back(large, other, small) == [("1", 1)]


def test_nothing_is_taken_back_before_its_time_or_where_there_is_room() -> None:
    large, small = since(open_batch(1, "acme", 0, running=4), *[NOW] * 4), since(open_batch(2, "small", 1), NOW)
    assert taken_back(large, small, now=NOW + PATIENCE - 1) == []
    assert taken_back(large, small, of=places(5)) == []
    assert taken_back(since(large, *[LATER] * 4), small) == []


def test_nothing_is_taken_back_for_who_has_a_place_or_wants_another_model() -> None:
    large = since(open_batch(1, "acme", 0, running=3), *[NOW] * 3)
    assert taken_back(large, since(open_batch(2, "small", 1, running=1), NOW, NOW)) == []
    assert taken_back(large, since(open_batch(2, "acme", 1), NOW), of=places(3)) == []
    assert taken_back(large, since(open_batch(2, "small", 1, model="other"), NOW), of=places(3)) == []


def test_an_account_has_no_more_than_its_places_and_others_have_the_rest() -> None:
    large, small = open_batch(1, "acme", 100, running=3), open_batch(2, "small", 3)
    assert Counter(batch.account_id for batch, _ in chosen([large, small], places(100, 10), NOW)) == {
        "acme": 7,
        "small": 3,
    }
    assert chosen([open_batch(1, "acme", 5, running=12)], places(100, 10), NOW) == []


def test_an_account_s_places_go_to_all_its_models() -> None:
    one, other = open_batch(1, "acme", 50), open_batch(2, "acme", 50, model="other")
    assert Counter(shard.model for _, shard in chosen([one, other], places(100, 10), NOW)) == {"talker": 5, "other": 5}
    busy = open_batch(1, "acme", 50, running=9)
    assert of(chosen([busy, other], places(100, 10), NOW)) == [("2", 0)]


def test_nothing_is_taken_back_for_who_has_all_its_places_elsewhere() -> None:
    full = since(open_batch(1, "acme", 0, running=2, model="other"), NOW, NOW)
    wanting = since(open_batch(2, "acme", 1), NOW)
    large = since(open_batch(3, "large", 0, running=3), *[NOW] * 3)
    assert taken_back(full, wanting, large, of=places(3, 3)) == [("3", 0)]
    assert taken_back(full, wanting, large, of=places(3, 2)) == []


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 6), st.integers(0, 6), st.sampled_from(["talker", "other"])),
        max_size=8,
    ),
    st.integers(1, 12),
    st.integers(1, 20),
    st.randoms(use_true_random=False),
)
def test_places_are_filled_and_never_overfilled_whatever_the_order(
    given_: list[tuple[str, int, int, str]], of_model: int, of_account: int, random: Random
) -> None:
    batches = [open_batch(number, *one) for number, one in enumerate(given_)]
    choices = chosen(batches, places(of_model, of_account), NOW)
    mixed = list(batches)
    random.shuffle(mixed)
    assert chosen(mixed, places(of_model, of_account), NOW) == choices
    assert len({(batch.id, shard.number) for batch, shard in choices}) == len(choices)
    running: Counter[str] = Counter()
    waiting: Counter[tuple[str, str]] = Counter()
    for account, waits, runs, model in given_:
        running.update({account: runs, model: runs})
        waiting[account, model] += waits
    for batch, shard in choices:
        running.update([batch.account_id, shard.model])
        waiting[batch.account_id, shard.model] -= 1
        assert running[batch.account_id] <= of_account
        assert running[shard.model] <= of_model
    assert not [
        left
        for (account, model), left in waiting.items()
        if left and running[account] < of_account and running[model] < of_model
    ]
