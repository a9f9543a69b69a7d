"""Which shards are sent next: whoever has least under way, and of an account's batches the least served, the oldest.

Of each model so many shards are under way at once, of all batches together. A free place goes to the account that has
the fewest there, so that as long as others wait nobody has more than its share, however large its batch. Deterministic:
two who choose from the same choose the same, and the book lets one of them send each.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from penstock.batches.records import Batch, Shard, ShardState
from penstock.clock import MINUTE

PATIENCE = 10 * MINUTE

UNDER_WAY = (ShardState.SENT, ShardState.RUNNING)


@dataclass(frozen=True, slots=True)
class Open:
    """A batch in progress with all its shards."""

    batch: Batch
    shards: Sequence[Shard]


def chosen(batches: Sequence[Open], at_once: Callable[[str], int], now: int) -> list[tuple[Batch, Shard]]:
    """The shards to be sent, in their order; `at_once` says how many of a model may be under way."""
    models = sorted({shard.model for one in batches for shard in one.shards})
    return [choice for model in models for choice in _of_model(batches, model, at_once(model), now)]


def displaced(batches: Sequence[Open], at_once: Callable[[str], int], now: int) -> list[Shard]:
    """Running shards that are to be taken back, one of a model: of whoever keeps most places while another has none.

    Those places may be kept for long, by workers that wait for their account's limits; so nobody waits for them longer
    than PATIENCE.
    """
    models = sorted({shard.model for one in batches for shard in one.shards})
    found = (_displaced(batches, model, at_once(model), now) for model in models)
    return [shard for shard in found if shard is not None]


def _displaced(batches: Sequence[Open], model: str, at_once: int, now: int) -> Shard | None:
    of_account = Counter(one.batch.account_id for one in batches for shard in one.shards if _has_place(shard, model))
    left_out = any(
        shard.model == model and due(shard, now - PATIENCE) and not of_account[one.batch.account_id]
        for one in batches
        for shard in one.shards
    )
    if not left_out or of_account.total() < at_once:
        return None
    most = max(sorted(of_account), key=lambda account: of_account[account])
    running = [
        shard
        for one in batches
        if one.batch.account_id == most
        for shard in one.shards
        if shard.model == model and shard.state is ShardState.RUNNING and now - shard.since > PATIENCE
    ]
    return min(running, key=lambda shard: (shard.since, shard.batch_id, shard.number), default=None)


def _has_place(shard: Shard, model: str) -> bool:
    return shard.model == model and shard.state in UNDER_WAY


def due(shard: Shard, now: int) -> bool:
    """Whether it waits, and may be sent."""
    return shard.state is ShardState.WAITING and now >= shard.since


def _of_model(batches: Sequence[Open], model: str, at_once: int, now: int) -> Iterator[tuple[Batch, Shard]]:
    under_way = _under_way(batches, model)
    waiting = {
        one.batch.id: [shard for shard in reversed(one.shards) if shard.model == model and due(shard, now)]
        for one in batches
    }
    by_age = sorted((one.batch for one in batches), key=lambda batch: batch.id[len("batch_") :])
    for _ in range(at_once - under_way.total()):
        next_ones = [batch for batch in by_age if waiting[batch.id]]
        if not next_ones:
            return
        batch = min(next_ones, key=lambda one: _served(under_way, one))
        under_way[batch.account_id, batch.id] += 1
        yield batch, waiting[batch.id].pop()


def _served(under_way: Mapping[tuple[str, str], int], batch: Batch) -> tuple[int, int]:
    """How much of the places the batch's account has, and how much the batch itself."""
    of_account = sum(count for (account, _), count in under_way.items() if account == batch.account_id)
    return of_account, under_way[batch.account_id, batch.id]


def _under_way(batches: Sequence[Open], model: str) -> Counter[tuple[str, str]]:
    return Counter(
        (one.batch.account_id, one.batch.id) for one in batches for shard in one.shards if _has_place(shard, model)
    )
