"""The bench in the edge's place: it looks a key up, reserves and signs, and does nothing else of what the edge does.

A direct call does the same in its container. Nothing is cached here, as nothing is there.
"""

from pathlib import Path

from benchmarks.failure import BenchmarkFailed
from penstock import admission, keys
from penstock.admission import Demand
from penstock.clock import SECOND, now_ms
from penstock.ledger import Account, Key, Ledger, Limits, Reserved
from penstock.models import ServedModel, read_models
from penstock.ticket import Ticket, TicketKeys, hash_body

CLAIM_WITHIN_S = 120  # a cold start, on a busy machine
_ENOUGH = Limits(concurrent_requests=1_000)


class Admission:
    """Admits requests for one model, of one conversation of one message, on behalf of one key."""

    def __init__(self, ledger: Ledger, model: ServedModel, key_id: str, ticket_keys: str) -> None:
        self._ledger = ledger
        self._model = model
        self._key_id = key_id
        self._keys = TicketKeys.parse(ticket_keys)

    async def ticket(self, body: bytes, max_tokens: int) -> str:
        """A ticket for the body, on a new reservation. Raises BenchmarkFailed where it is refused."""
        caller = await self._ledger.caller(self._key_id)
        if caller is None:
            raise BenchmarkFailed("the key is not in the ledger")
        await self._ledger.switch()
        outcome = await admission.admit(
            self._ledger,
            caller,
            self._model,
            Demand(prompt_bytes=len(body), messages=1, max_tokens=max_tokens),
            request_id=admission.new_request_id(),
            now=now_ms(),
            claim_within_s=CLAIM_WITHIN_S,
        )
        if not isinstance(outcome, Reserved):
            raise BenchmarkFailed(f"a reservation was refused: {outcome}")
        return self._keys.sign(Ticket(outcome.lease, hash_body(body), now_ms() + CLAIM_WITHIN_S * SECOND))


def served(table: Path, name: str) -> ServedModel:
    """A model of a table."""
    model = read_models(table).get(name)
    if model is None:
        raise BenchmarkFailed(f"no model {name!r} in {table}")
    return model


async def enrol(ledger: Ledger, accounts: int) -> list[keys.ApiKey]:
    """New accounts, with a key each."""
    minted, now = [keys.mint() for _ in range(accounts)], now_ms()
    for number, key in enumerate(minted):
        await ledger.create_account(Account(f"bench-{number}", "Bench", now, limits=_ENOUGH))
        await ledger.create_key(Key(key.id, f"bench-{number}", "Bench", key.digest(), now))
    return minted
