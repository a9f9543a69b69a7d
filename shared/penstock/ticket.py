"""The ticket: what the edge gives the GPU process so that it need ask nobody before it starts.

`<key id>.<payload>.<signature>`, the last two base64url without padding; the signature is HMAC-SHA256
over everything before it. The payload is the lease, the SHA-256 of the request's body, and the time until
which the ticket may be presented. Nothing of the payload is read before the signature holds.

A ticket is not spent by being verified: that one ticket is one generation is the ledger's claim to keep.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass

import orjson

from penstock.clock import SECOND
from penstock.ledger.records import Bound, Lease
from penstock.prices import Price

MAX_LENGTH = 2_048  # characters; a real one has some 600
CLOCK_SKEW = 5 * SECOND  # how far the edge's and the GPU's clocks may differ

_KEY_ID = re.compile("[0-9A-Za-z]{1,32}")


class InvalidTicket(Exception):
    """The ticket is not to be trusted: the message says why, never what it held."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A lease, the one body it is good for, and until when it may be presented (milliseconds)."""

    lease: Lease
    body_hash: str
    expires_at: int


class TicketKeys:
    """The signing keys by id. The first signs; all verify, so that a key can be rotated out."""

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        if not keys or any(len(secret) < 32 for secret in keys.values()):
            raise ValueError("ticket keys: at least one, each of at least 32 bytes")
        self._keys = dict(keys)
        self._current = next(iter(self._keys))

    @classmethod
    def parse(cls, text: str) -> "TicketKeys":
        """Keys written as `id:base64,id:base64`, the signing key first.

        Raises ValueError, which names a wrong key by its place: what should be an id may be a secret.
        """
        keys: dict[str, bytes] = {}
        for place, entry in enumerate(text.split(","), start=1):
            key_id, _, secret = entry.strip().partition(":")
            if not _KEY_ID.fullmatch(key_id) or key_id in keys:
                raise ValueError(
                    f"ticket keys: number {place} is not id:base64, with an id of its own of letters and digits"
                )
            try:
                keys[key_id] = base64.b64decode(secret, validate=True)
            except ValueError as error:
                raise ValueError(f"ticket keys: number {place} has a secret that is not base64") from error
        return cls(keys)

    def sign(self, ticket: Ticket) -> str:
        """The ticket as text, fit for a header or a query string."""
        signed = f"{self._current}.{_encode(orjson.dumps(_payload(ticket)))}"
        return f"{signed}.{_encode(_mac(self._keys[self._current], signed))}"

    def verify(self, text: str, *, now: int) -> Ticket:
        """The ticket in `text`. Raises InvalidTicket where it is malformed, forged or expired."""
        if len(text) > MAX_LENGTH or not text.isascii():
            raise InvalidTicket("malformed")
        signed, _, signature = text.rpartition(".")
        key_id, _, payload = signed.partition(".")
        # An unknown id is checked against a key as well, so that it takes as long as a known one.
        secret = self._keys.get(key_id, self._keys[self._current])
        if not hmac.compare_digest(_encode(_mac(secret, signed)), signature) or key_id not in self._keys:
            raise InvalidTicket("forged")
        ticket = _ticket(payload)
        if now > ticket.expires_at + CLOCK_SKEW:
            raise InvalidTicket("expired")
        return ticket


def hash_body(body: bytes) -> str:
    """The hex SHA-256 of a request's body, as the ticket binds it."""
    return hashlib.sha256(body).hexdigest()


def _mac(secret: bytes, signed: str) -> bytes:
    return hmac.digest(secret, signed.encode(), "sha256")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _payload(ticket: Ticket) -> list[object]:
    lease, price = ticket.lease, ticket.lease.price
    about = [lease.id, lease.account_id, lease.key_id, lease.model, lease.reserved_at, lease.deadline, lease.tight]
    return [
        about if lease.requests == 1 else [*about, lease.requests],
        [lease.bound.tokens, lease.bound.nano],
        [price.version, price.prompt, price.cached_prompt, price.completion],
        ticket.body_hash,
        ticket.expires_at,
    ]


def _ticket(payload: str) -> Ticket:
    # Signed, so written by `_payload` of this or a neighbouring release; another shape is not ours.
    try:
        about, bound, price, body_hash, expires_at = orjson.loads(_decode(payload))
        lease_id, account, key, model, reserved_at, deadline, tight, *several = about
        (requests,) = several or [1]
        lease = Lease(
            id=_text(lease_id),
            account_id=_text(account),
            key_id=_text(key),
            model=_text(model),
            bound=Bound(*map(_whole, bound)),
            price=Price(_text(price[0]), *map(_whole, price[1:])),
            reserved_at=_whole(reserved_at),
            deadline=_whole(deadline),
            tight=_flag(tight),
            requests=_whole(requests),
        )
        return Ticket(lease, _text(body_hash), _whole(expires_at))
    except (TypeError, ValueError, LookupError) as error:
        raise InvalidTicket("of another version") from error


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError
    return value
