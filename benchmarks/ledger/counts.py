"""How many requests the DynamoDB ledger sends for each thing it is asked to do, counted on their way to the server."""

import secrets
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from benchmarks.failure import BenchmarkFailed
from benchmarks.ledger.clients import BOUND, CLAIMED, ENOUGH, MODEL, USED, Client, clients_of_one_account, looked_up
from benchmarks.ledger.servers import led_to
from benchmarks.ledger.stores import TABLE
from benchmarks.report import Column, Row, Table
from penstock.clock import MINUTE, SECOND, now_ms
from penstock.ledger import Bound, Claim, Lease, Ledger, Limits, Refused, StoredAnswer, create_ledger
from tests.servers.proxy import Proxy

T = TypeVar("T")

ANSWER = StoredAnswer(200, "application/json", b"x" * 1_000)
_DAY = 24 * 60 * MINUTE
_ROOM_FOR_TWO = Limits(concurrent_requests=2)
_NEARLY_SPENT = Limits(monthly_tokens=3 * BOUND.tokens)  # so that a claim gives back at once
_COLUMNS = (
    Column("what", "what the ledger is asked"),
    Column("requests", "requests"),
    Column("which", "which, in this order"),
)


@dataclass(slots=True)
class _Ledgerbook:
    """Rows, one for each thing asked."""

    heard: list[str] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    async def ask(self, what: str, work: Awaitable[T]) -> T:
        """Do it, and write down which requests it took."""
        self.heard.clear()
        outcome = await work
        if not self.heard:
            raise BenchmarkFailed(f"{what}: the proxy saw no request")
        self.rows.append({"what": what, "requests": len(self.heard), "which": ", ".join(self.heard)})
        return outcome


async def measure_counts(server: str) -> Table:
    """The table. `server` is the URL of a DynamoDB on this machine."""
    with Proxy(server) as proxy, led_to(proxy.url):
        ledger = await create_ledger(f"dynamodb://{TABLE}-counts")
        book = _Ledgerbook()
        proxy.heard = lambda operation, _: book.heard.append(operation)
        try:
            await _edge(book, ledger)
            await _gpu(book, ledger)
            await _refusals(book, ledger)
            await _sweep(book, ledger)
        finally:
            await ledger.close()
    note = "No fault, no contention: a throttled or conflicting request is sent again. Reads are strongly consistent."
    return Table("requests", "dynamodb: requests to the table", _COLUMNS, book.rows, (note,))


async def _edge(book: _Ledgerbook, ledger: Ledger) -> None:
    [client] = await clients_of_one_account(ledger, "edge", 1)
    key = client.caller.key
    await book.ask("edge: look a key and its account up (cached for seconds)", looked_up(ledger, key.id))
    await book.ask("edge: look a key up that there is not", ledger.caller("unknown"))
    await book.ask("edge: the switch over everybody (cached for seconds)", ledger.switch())
    await book.ask("edge: reserve", client.reserve())
    await ledger.set_key(key.id, limits=ENOUGH, models=frozenset({MODEL}), routes=None)
    await book.ask("edge: reserve, the key or the account changed since", client.reserve())

    now, attempt = now_ms(), secrets.token_hex(8)
    until = now + _DAY
    begin = ledger.begin("edge", "key", "hash", attempt, now=now, expires_at=until)
    await book.ask("edge: Idempotency-Key: begin", begin)
    await book.ask("edge: Idempotency-Key: keep the answer", ledger.remember("edge", "key", attempt, ANSWER, until))
    again = ledger.begin("edge", "key", "hash", secrets.token_hex(8), now=now, expires_at=until)
    if await book.ask("edge: Idempotency-Key: the answer again", again) != ANSWER:
        raise BenchmarkFailed("the answer was not given again")


async def _gpu(book: _Ledgerbook, ledger: Ledger) -> None:
    [client] = await clients_of_one_account(ledger, "gpu", 1)
    lease = await client.reserve()
    await book.ask("gpu: claim", client.claim(lease))
    now = now_ms()
    checkpoint = ledger.checkpoint(lease, "attempt", USED, now + 10 * MINUTE)
    if not await book.ask("gpu: checkpoint", checkpoint):
        raise BenchmarkFailed("a checkpoint was refused")
    await book.ask("gpu: settle", client.settle(lease))
    await book.ask("gpu: settle, again", ledger.settle(lease, USED, "stop", now_ms()))
    given_back = await client.reserve()
    if not await book.ask("gpu: release an unclaimed lease", ledger.release(given_back, now_ms())):
        raise BenchmarkFailed("a lease was not given back")
    await _near_a_limit(book, ledger)
    await _late(book, client)


async def _near_a_limit(book: _Ledgerbook, ledger: Ledger) -> None:
    [client] = await clients_of_one_account(ledger, "near", 1, _NEARLY_SPENT)
    lease = await client.reserve()
    if not lease.tight:
        raise BenchmarkFailed("a lease near a limit is not marked so")
    await book.ask("gpu: claim, the caller is near a limit", client.claim(lease))
    await client.settle(lease)


async def _late(book: _Ledgerbook, client: Client) -> None:
    lease = await _dead(client)
    await client.ledger.expire(now_ms())
    await book.ask("gpu: settle, after the lease was closed", client.ledger.settle(lease, USED, "stop", now_ms()))


async def _dead(client: Client) -> Lease:
    """A lease that was claimed, and its deadline is over."""
    lease, now = await client.reserve(), now_ms()
    claim = await client.ledger.claim(lease, "attempt", CLAIMED, now - 10 * SECOND, now - SECOND)
    if claim is not Claim.CLAIMED:
        raise BenchmarkFailed(f"a claim was refused: {claim}")
    return lease


async def _refusals(book: _Ledgerbook, ledger: Ledger) -> None:
    [client] = await clients_of_one_account(ledger, "full", 1, _ROOM_FOR_TWO)
    for _ in range(2):
        await client.reserve()
    await book.ask("edge: reserve, refused; two leases are live", _refused(client, BOUND))
    await book.ask("edge: the same, soon after", _refused(client, BOUND))
    [poor] = await clients_of_one_account(ledger, "poor", 1, Limits(monthly_tokens=10))
    await book.ask("edge: reserve, refused; more than the limit by itself", _refused(poor, BOUND))


async def _refused(client: Client, bound: Bound) -> None:
    outcome = await client.ledger.reserve(client.caller, client.lease(bound=bound))
    if not isinstance(outcome, Refused):
        raise BenchmarkFailed("a reservation over a limit was granted")


async def _sweep(book: _Ledgerbook, ledger: Ledger) -> None:
    number = len(await ledger.accounts())
    await book.ask(f"sweep: expire, {number} accounts, all leases alive", ledger.expire(now_ms()))
    [client] = await clients_of_one_account(ledger, "dead", 1)
    await _dead(client)
    await book.ask("sweep: expire, and one lease is dead", ledger.expire(now_ms()))
