"""Admission: one reservation in the ledger before anything is spent, the same for every flow.

The edge, the direct SDK and batch all come through here. Who has no tokenizer reserves an upper bound;
the GPU process shrinks it when it claims the lease. Mapping a refusal to HTTP is the edge's business.
"""

import hashlib
import secrets
from dataclasses import dataclass
from typing import Protocol

from penstock.clock import SECOND
from penstock.ledger.records import Bound, Caller, Lease, Refused, Reserved
from penstock.models import ServedModel
from penstock.prices import Price, extremes

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
    """What a request asks of one prompt, as far as it can be known without a tokenizer."""

    prompt_bytes: int  # UTF-8 bytes of the text, or of all messages
    messages: int  # of a conversation; 0: a plain text
    max_tokens: int | None  # of each choice; None: until the context is full
    choices: int = 1
    prompt_tokens: int | None = None  # of a prompt in token ids; it has no bytes then


def new_request_id() -> str:
    """An id of ours for a request: the ledger's key for everything it does."""
    return "req_" + "".join(secrets.choice(_ALPHABET) for _ in range(_ID_LENGTH))


def request_id_of(name: str) -> str:
    """The id of the request of that name: the same one each time, for a call that may be delivered twice."""
    number = int.from_bytes(hashlib.blake2b(name.encode(), digest_size=16).digest())
    letters = []
    for _ in range(_ID_LENGTH):
        number, place = divmod(number, len(_ALPHABET))
        letters.append(_ALPHABET[place])
    return "req_" + "".join(letters)


def bound_of(model: ServedModel, price: Price, *demands: Demand) -> Bound:
    """The most that the demands can use of the model together, in tokens and nano-dollars."""
    bounds = [_bound_of(model, price, demand) for demand in demands]
    return Bound(tokens=sum(bound.tokens for bound in bounds), nano=sum(bound.nano for bound in bounds))


def _bound_of(model: ServedModel, price: Price, demand: Demand) -> Bound:
    context = model.context_length
    if demand.prompt_tokens is None:
        prompt = model.prompt_bound(demand.prompt_bytes, demand.messages)
    else:
        prompt = min(demand.prompt_tokens, context)
    completion = context if demand.max_tokens is None else demand.max_tokens
    return Bound(
        tokens=max(read + demand.choices * written for read, written in extremes(prompt, completion, context)),
        nano=price.most(prompt, completion, context, choices=demand.choices),
    )


async def admit(
    ledger: Reserving,
    caller: Caller,
    model: ServedModel,
    *demands: Demand,
    request_id: str,
    now: int,
    claim_within_s: int,
) -> Reserved | Refused:
    """Reserve the demands' upper bound for the caller, to be claimed within `claim_within_s` seconds.

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
        bound=bound_of(model, price, *demands),
        price=price,
        reserved_at=now,
        deadline=now + claim_within_s * SECOND,
    )
    return await ledger.reserve(caller, lease)
