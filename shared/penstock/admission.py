"""Admission: one reservation in the ledger before anything is spent, the same for every flow.

The edge, the direct SDK and batch all come through here. Who has no tokenizer reserves an upper bound;
the GPU process shrinks it when it claims the lease. Mapping a refusal to HTTP is the edge's business.
"""

import secrets
from dataclasses import dataclass
from typing import Protocol

from penstock.clock import SECOND
from penstock.ledger.records import Bound, Caller, Lease, Refused, Reserved
from penstock.models import ServedModel
from penstock.prices import Price

_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ID_LENGTH = 16  # 95 random bits; it is part of every item in the store, where each byte is paid for


class Reserving(Protocol):
    """What admission needs of a ledger."""

    async def reserve(self, caller: Caller, lease: Lease) -> Reserved | Refused:
        """Set the lease's bound aside, or say which limit it would pass."""


class NoPrice(Exception):
    """The model has no price in force: it is refused, never served for nothing."""


@dataclass(frozen=True, slots=True)
class Demand:
    """What a request asks for, as far as it can be known without a tokenizer."""

    prompt_bytes: int  # UTF-8 bytes of all messages
    messages: int
    max_tokens: int | None  # None: until the context is full


def new_request_id() -> str:
    """An id of ours for a request: the ledger's key for everything it does."""
    return "req_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def bound_of(model: ServedModel, price: Price, demand: Demand) -> Bound:
    """The most that the demand can use of the model, in tokens and nano-dollars."""
    prompt = model.prompt_bound(demand.prompt_bytes, demand.messages)
    completion = min(demand.max_tokens or model.context_length, model.context_length)
    return Bound(
        tokens=min(prompt + completion, model.context_length),
        nano=price.most(prompt, completion, model.context_length),
    )


async def admit(
    ledger: Reserving,
    caller: Caller,
    model: ServedModel,
    demand: Demand,
    *,
    request_id: str,
    now: int,
    claim_within_s: int,
) -> Reserved | Refused:
    """Reserve the demand's upper bound for the caller, to be claimed within `claim_within_s` seconds.

    Raises AccessDenied where the account or the key was ended meanwhile, NoPrice where the model has no
    price in force, LedgerUnavailable where the ledger cannot be reached.
    """
    price = model.price_at(now)
    if price is None:
        raise NoPrice(model.name)
    lease = Lease(
        id=request_id,
        account_id=caller.account.id,
        key_id=caller.key.id,
        model=model.name,
        bound=bound_of(model, price, demand),
        price=price,
        reserved_at=now,
        deadline=now + claim_within_s * SECOND,
    )
    return await ledger.reserve(caller, lease)
