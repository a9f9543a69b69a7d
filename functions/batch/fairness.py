"""Which shards are sent next: whoever has least under way, and of an account's batches the least served, the oldest.

Of each model so many shards are under way at once, of all batches together, and of each account so many of all models.
A free place goes to the account that has the fewest of the model's, so that as long as others wait nobody has more than
its share, however large its batch. Deterministic: two who choose from the same choose the same, and the book lets one
of them send each.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from penstock.batches.records import Batch, Shard, ShardState
from penstock.clock import MINUTE

PATIENCE = 10 * MINUTE

UNDER_WAY = (ShardState.SENT, ShardState.RUNNING)


@dataclass(frozen=True, slots=True)
class Open:
    """A batch in progress with all its shards."""

    batch: Batch
    shards: Sequence[Shard]


@dataclass(frozen=True, slots=True)
class Places:
    """How many shards may be under way at once: of a model, and of an account."""

    of_model: Callable[[str], int]
    of_account: int


@dataclass(frozen=True, slots=True)
class UnderWay:
    """How many shards have a place, or will have one."""

    of_model: Counter[str] = field(default_factory=Counter)
    of_account: Counter[str] = field(default_factory=Counter)
    shares: Counter[tuple[str, str]] = field(default_factory=Counter)  # of a model, by account
    of_batch: Counter[tuple[str, str]] = field(default_factory=Counter)  # of a model, by batch

    @classmethod
    def of(cls, batches: Sequence[Open]) -> "UnderWay":
        """Those of these batches."""
        under_way = cls()
        for one in batches:
            for shard in one.shards:
                if shard.state in UNDER_WAY:
                    under_way.add(shard.model, one.batch)
        return under_way

    def add(self, model: str, batch: Batch) -> None:
        """One more."""
        self.of_model[model] += 1
        self.of_account[batch.account_id] += 1
        self.shares[model, batch.account_id] += 1
        self.of_batch[model, batch.id] += 1

    def served(self, model: str, batch: Batch) -> tuple[int, int]:
        """How much of the model's places the batch's account has, and how much the batch itself."""
        return self.shares[model, batch.account_id], self.of_batch[model, batch.id]


def chosen(batches: Sequence[Open], places: Places, now: int) -> list[tuple[Batch, Shard]]:
    """The shards to be sent, in their order."""
    return list(_choices(batches, places, now))


def displaced(batches: Sequence[Open], places: Places, now: int) -> list[Shard]:
    """Running shards that are to be taken back, one of a model: of whoever keeps most places while another has none.

    Those places may be kept for long, by workers that wait for their account's limits; so nobody waits for them longer
    than PATIENCE.
    """
    under_way = UnderWay.of(batches)
    found = (_displaced(batches, model, places, under_way, now) for model in _models(batches))
    return [shard for shard in found if shard is not None]


def _displaced(batches: Sequence[Open], model: str, places: Places, under_way: UnderWay, now: int) -> Shard | None:
    left_out = any(
        shard.model == model
        and due(shard, now - PATIENCE)
        and not under_way.shares[model, one.batch.account_id]
        and under_way.of_account[one.batch.account_id] < places.of_account
        for one in batches
        for shard in one.shards
    )
    if not left_out or under_way.of_model[model] < places.of_model(model):
        return None
    most = max(sorted(under_way.of_account), key=lambda account: under_way.shares[model, account])
    running = [
        shard
        for one in batches
        if one.batch.account_id == most
        for shard in one.shards
        if shard.model == model and shard.state is ShardState.RUNNING and now - shard.since > PATIENCE
    ]
    return min(running, key=lambda shard: (shard.since, shard.batch_id, shard.number), default=None)


def due(shard: Shard, now: int) -> bool:
    """Whether it waits, and may be sent."""
    return shard.state is ShardState.WAITING and now >= shard.since


def _choices(batches: Sequence[Open], places: Places, now: int) -> Iterator[tuple[Batch, Shard]]:
    under_way = UnderWay.of(batches)
    by_age = sorted(batches, key=lambda one: one.batch.id[len("batch_") :])
    waiting = {
        (model, one.batch.id): [shard for shard in reversed(one.shards) if shard.model == model and due(shard, now)]
        for model in _models(batches)
        for one in by_age
    }
    of_batch = {one.batch.id: one.batch for one in by_age}

    def may_have(model: str, batch: Batch) -> bool:
        return (
            under_way.of_model[model] < places.of_model(model)
            and under_way.of_account[batch.account_id] < places.of_account
        )

    while True:
        open_to = [
            (model, of_batch[batch_id])
            for (model, batch_id), shards in waiting.items()
            if shards and may_have(model, of_batch[batch_id])
        ]
        if not open_to:
            return
        model, batch = min(open_to, key=lambda one: under_way.served(*one))
        under_way.add(model, batch)
        yield batch, waiting[model, batch.id].pop()


def _models(batches: Sequence[Open]) -> list[str]:
    return sorted({shard.model for one in batches for shard in one.shards})
