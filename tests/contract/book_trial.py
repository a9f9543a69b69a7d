"""One plan, carried out on a book and on the model of it, step by step; after each, both must show the same."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from penstock.batches import Book
from penstock.batches.records import Batch, File, Purpose, Shard, ShardState, Status
from tests.contract.book_model import BookModel
from tests.contract.books import batch_of, file_of, full, shards_of
from tests.contract.samples import NOW

NUMBERS = 4  # of files, of batches, of shards in each of two batches
PURPOSES = tuple(Purpose)


@dataclass(frozen=True)
class Step:
    """What happens next, to which record and how."""

    verb: str
    number: int
    variant: int  # from 0 to 3
    behind: int = 0  # how many revisions the caller has missed
    twice: bool = False


@dataclass
class BookTrial:
    """The book, the model, and an account of the trial's own."""

    book: Book
    account: str
    lossy: bool = False  # whether answers get lost: what was removed is then not there when it is removed again
    model: BookModel = field(default_factory=BookModel)
    history: deque[str] = field(default_factory=lambda: deque(maxlen=12))

    async def run(self, plan: Iterable[Step]) -> None:
        """Carry it out."""
        for step in plan:
            for _ in range(1 + step.twice):
                await getattr(self, step.verb)(step)
            await self.check()

    # -- steps ------------------------------------------------------------------------------------

    async def add_file(self, step: Step) -> None:
        await self.both("add_file", self.new_file(step))

    async def change_file(self, step: Step) -> None:
        new = self.new_file(step)
        file = self.model.file(self.account, new.id) or new
        changed = replace(file, expires_at=(None, NOW, NOW + 1, None)[step.variant], size=step.variant)
        await self.both("change_file", _behind(changed, step))

    async def remove_file(self, step: Step) -> None:
        file_id = self.new_file(step).id
        expected = self.model.remove_file(self.account, file_id)
        found = await self.book.remove_file(self.account, file_id)
        assert found is expected or (self.lossy and not found), "\n".join(self.history)

    async def add_batch(self, step: Step) -> None:
        batch = self.new_batch(step.number)
        await self.both("add_batch", (batch, replace(batch, window_s=7), full(batch), batch)[step.variant])

    async def change_batch(self, step: Step) -> None:
        new = self.new_batch(step.number)
        batch = self.model.batch(new.id) or new
        changes = (
            {"status": Status.IN_PROGRESS, "lines": 1},
            {"status": Status.CANCELLED, "ended_at": NOW},
            {"status": Status.FAILED, "told": True},
            {"status": Status.EXPIRED, "told": True, "errors": full(new).errors},
        )
        changed = replace(batch, **changes[step.variant])  # type: ignore[arg-type]
        if batch.closed and not changed.closed:
            changed = replace(batch, failed=step.variant)
        await self.both("change_batch", _behind(changed, step))

    async def add_shards(self, step: Step) -> None:
        shards = [replace(shard, tokens=step.variant) for shard in self.new_shards(step)]
        await self.both("add_shards", shards[step.variant :])

    async def change_shard(self, step: Step) -> None:
        new = self.new_shards(step)[step.number]
        shard = self.model.shard(new.batch_id, new.number) or new
        state = list(ShardState)[step.variant]
        await self.both("change_shard", _behind(replace(shard, state=state, since=NOW), step))

    async def remove_shards(self, step: Step) -> None:
        await self.both("remove_shards", self.new_batch(step.number % 2).id)

    # -- what must hold ---------------------------------------------------------------------------

    async def both(self, verb: str, *args: Any, **named: Any) -> None:
        """Make the call of the book and of the model, which must answer alike."""
        expected, found = getattr(self.model, verb)(*args, **named), await getattr(self.book, verb)(*args, **named)
        self.history.append(f"{verb}{args, named} -> {found}")
        assert (found if found is None or isinstance(found, bool) else list(found)) == expected, "\n".join(self.history)

    async def check(self) -> None:
        """The book shows what the model holds."""
        middle, of = file_of(1, account=self.account).id, self.account
        for purpose in (None, *PURPOSES):
            await self.both("files", of, purpose=purpose)
        await self.both("files", of, after=middle, limit=1)
        await self.both("files", of, after=middle, limit=2, newest_first=False)
        await self.both("batches", of)
        await self.both("batches", of, after=self.new_batch(2).id, limit=1)
        for number in range(2):
            await self.both("shards", self.new_batch(number).id)
        ours = [self.new_batch(number).id for number in range(NUMBERS)]
        opened = [one for one in await self.book.open_batches(limit=100_000) if one in ours]
        assert opened == self.model.open_batches(), "\n".join(self.history)

    # -- which record -----------------------------------------------------------------------------

    def new_file(self, step: Step) -> File:
        return file_of(step.number, account=self.account, purpose=PURPOSES[step.number % 2])

    def new_batch(self, number: int) -> Batch:
        return batch_of(number, account=self.account)

    def new_shards(self, step: Step) -> list[Shard]:
        return shards_of(self.new_batch(step.number % 2), NUMBERS)


def _behind(record: Any, step: Step) -> Any:
    """As somebody has it who has not seen the last changes."""
    return replace(record, revision=max(record.revision - step.behind, 0))
