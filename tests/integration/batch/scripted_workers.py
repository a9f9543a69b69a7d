"""Workers that do as they are told: they work shards off by the rules of the log, without a model.

Every line is answered with the same few tokens. A call is worked off at once, held until `go` is called, or dies.
"""

import secrets
from dataclasses import dataclass, field

import orjson

from functions.batch.workers import CallState, WorkersUnavailable
from penstock.batches import addresses, log
from penstock.batches.orders import Order, Outcome
from penstock.clock import MINUTE, now_ms
from penstock.ledger import Bound, Lease, Ledger, Reserved, Usage
from penstock.objects import Exists, Missing, Objects
from penstock.prices import Price

USED = Usage(5, 0, 3)  # of each line
PRICE = Price("2026-01-01/batch", 50, 25, 200)
BODY = orjson.dumps(
    {"usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prompt_tokens_details": None}}
)


@dataclass
class ScriptedWorkers:
    """Workers of all models. `mode` is what becomes of the calls that are started next.

    done: the whole shard, with its mark    half: half of what is left, then it dies    dead: it dies at once
    held: it runs until `go`                quits: it returns without a mark           away: nobody can be reached
    """

    objects: Objects
    ledger: Ledger
    mode: str = "done"
    orders: dict[str, Order] = field(default_factory=dict)
    states: dict[str, CallState] = field(default_factory=dict)
    cancelled: list[str] = field(default_factory=list)
    asked: int = 0
    closed: bool = False

    async def start(self, order: Order) -> str:
        if self.mode == "away":
            raise WorkersUnavailable("away")
        call = f"call-{len(self.orders) + 1}"
        self.orders[call] = order
        self.states[call] = CallState.RUNNING
        if self.mode != "held":
            await self.go(call, self.mode)
        return call

    async def go(self, call: str, mode: str = "done") -> None:
        """The call does what the mode says, and is over."""
        order = self.orders[call]
        if mode in ("done", "half"):
            try:
                outcome = await work(self.objects, self.ledger, order, half=mode == "half")
            except Exists:  # another call has the shard
                self.states[call] = CallState.FAILED
                return
            if mode == "done":
                mark = addresses.shard_done(order.batch_id, order.shard)
                await self.objects.put(mark, orjson.dumps(outcome.written()))
        self.states[call] = CallState.ENDED if mode in ("done", "quits") else CallState.FAILED

    async def state(self, model: str, call: str) -> CallState:
        self.asked += 1
        if self.mode == "away":
            raise WorkersUnavailable("away")
        return self.states.get(call, CallState.FAILED)

    async def cancel(self, model: str, call: str) -> None:
        self.cancelled.append(call)
        self.states[call] = CallState.FAILED

    async def close(self) -> None:
        self.closed = True

    def of(self, batch_id: str) -> list[int]:
        """The batch's shards that were started, in that order."""
        return [order.shard for order in self.orders.values() if order.batch_id == batch_id]


async def work(objects: Objects, ledger: Ledger, order: Order, *, half: bool) -> Outcome:
    """Work the shard off, or half of what is left of it, in one slice; stopped and closed shards stay as they are."""
    entries = [entry async for entry in log.entries(objects, order.batch_id, order.shard)]
    done = log.results(entries)
    stopped = await objects.size(addresses.stop(order.batch_id)) is not None
    if stopped or (entries and isinstance(entries[-1], log.Closed)):
        return _outcome(len(done))
    lines = await _lines(objects, order)
    left = [line for line in lines if line not in done]
    some = left[: len(left) // 2] if half else left
    attempt = sum(isinstance(entry, log.Attempt) for entry in entries) + 1
    await _append(objects, order, len(entries), log.Attempt(attempt, secrets.token_hex(8)))
    if some:
        lease = await _reserved(ledger, order, len(some), attempt)
        used = _times(len(some))
        results = tuple(log.Result(line, 200, f"req_{order.batch_id}_{line}", BODY) for line in some)
        try:
            await _append(objects, order, len(entries) + 1, log.Begun(attempt, tuple(some), lease))
            await _append(objects, order, len(entries) + 2, log.Ended(attempt, lease, used, results))
        except Exists:
            await ledger.release(lease, now_ms())
            raise
        await ledger.settle(lease, used, "completed", now_ms())
    return _outcome(len(done) + len(some))


async def _lines(objects: Objects, order: Order) -> list[int]:
    try:
        content = await objects.get(addresses.shard_input(order.batch_id, order.shard))
    except Missing:
        return []
    return [orjson.loads(line)["line"] for line in content.splitlines()]


async def _append(objects: Objects, order: Order, number: int, entry: log.Entry) -> None:
    await objects.put_new(addresses.log_entry(order.batch_id, order.shard, number), log.written(entry))


async def _reserved(ledger: Ledger, order: Order, lines: int, attempt: int) -> Lease:
    caller = await ledger.caller(order.key_id)
    assert caller is not None
    now, used = now_ms(), _times(lines)
    bound = Bound(used.total_tokens, used.cost(PRICE))
    lease_id = f"req_{order.batch_id}_{order.shard}_{attempt}_{secrets.token_hex(4)}"
    lease = Lease(
        lease_id, order.account_id, order.key_id, order.model, bound, PRICE, now, now + MINUTE, requests=lines
    )
    assert isinstance(await ledger.reserve(caller, lease), Reserved)
    return lease


def _times(lines: int) -> Usage:
    return Usage(lines * USED.prompt_tokens, 0, lines * USED.completion_tokens)


def _outcome(lines: int) -> Outcome:
    return Outcome(lines, 0, _times(lines))
