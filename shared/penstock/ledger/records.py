"""The ledger's records: accounts, keys, leases and usage. Integers only: tokens, nano-dollars, milliseconds.

A lease is self-contained: whoever holds it (the ticket carries it) can claim, checkpoint and settle
without reading anything else first.
"""

from dataclasses import dataclass, field, fields
from enum import StrEnum

from penstock.clock import day_of, minute_of, month_of
from penstock.prices import Price

MOST = 10**16  # of any one number here: ten million dollars. Hundreds of such numbers add up in 64 bits.
MOST_REQUESTS = 10_000  # that one lease stands for


@dataclass(frozen=True, slots=True)
class Limits:
    """What an account or a key may use. None is no limit. ValueError for one that is not in 0..MOST."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    concurrent_requests: int | None = None
    monthly_budget: int | None = None  # nano-dollars
    monthly_tokens: int | None = None

    def __post_init__(self) -> None:
        for one in fields(self):
            limit = getattr(self, one.name)
            if limit is not None and not 0 <= limit <= MOST:
                raise ValueError(f"{one.name} must be from 0 to {MOST}, not {limit}")


@dataclass(frozen=True, slots=True)
class Account:
    """Who pays."""

    id: str
    name: str
    created_at: int
    enabled: bool = True
    limits: Limits = Limits()
    keep_answers: bool = True  # whether an answer may be stored for its `Idempotency-Key`


ADMIN = "admin"  # the routes that only a key which names them may call


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as the ledger knows it. The secret itself is nowhere."""

    id: str
    account_id: str
    name: str
    digest: str  # hex SHA-256 of the secret
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None
    models: frozenset[str] | None = None  # None: every served model
    limits: Limits = Limits()
    routes: frozenset[str] | None = None  # groups of routes, such as `chat`; None: all but ADMIN

    def usable(self, now: int) -> bool:
        """Whether the key opens anything at `now`: neither revoked nor expired."""
        revoked = self.revoked_at is not None and self.revoked_at <= now
        expired = self.expires_at is not None and self.expires_at <= now
        return not (revoked or expired)

    def may_use(self, model: str) -> bool:
        """Whether the key's scope holds the model, by its name in the table."""
        return self.models is None or model in self.models

    def may_call(self, routes: str) -> bool:
        """Whether the key's scope holds the group of routes. ADMIN has to be named."""
        return routes != ADMIN if self.routes is None else routes in self.routes


@dataclass(frozen=True, slots=True)
class Caller:
    """A key with its account: on whose behalf a request is made."""

    account: Account
    key: Key
    revision: int = field(default=0, compare=False)  # the store's, of all that is said here; opaque to others


@dataclass(frozen=True, slots=True)
class Bound:
    """The most that a request can use: what is set aside for it."""

    tokens: int
    nano: int

    def __post_init__(self) -> None:
        if not (0 <= self.tokens <= MOST and 0 <= self.nano <= MOST):
            raise ValueError(f"{self} is not a bound: both must be from 0 to {MOST}")

    def within(self, other: "Bound") -> bool:
        """Whether this bound is no larger than the other, in either measure."""
        return self.tokens <= other.tokens and self.nano <= other.nano


@dataclass(frozen=True, slots=True)
class Lease:
    """A reservation, and the right to one generation, or to those of several lines of a batch.

    `id` is the request's id everywhere in the ledger. Its minute, day and month are those of its
    reservation, so that what is taken from a window goes back to the same one. ValueError for a
    number of requests that is not in 1..MOST_REQUESTS.
    """

    id: str
    account_id: str
    key_id: str
    model: str
    bound: Bound
    price: Price
    reserved_at: int
    deadline: int  # an unclaimed lease is closed after this
    # Whether what a claim gives back is worth a write of its own, because the caller is near a limit.
    tight: bool = field(default=False, compare=False)
    requests: int = 1  # that it stands for, all under way at once

    def __post_init__(self) -> None:
        if not 1 <= self.requests <= MOST_REQUESTS:
            raise ValueError(f"a lease stands for 1 to {MOST_REQUESTS} requests, not {self.requests}")

    @property
    def minute(self) -> int:
        """The minute whose windows the reservation counts in."""
        return minute_of(self.reserved_at)

    @property
    def day(self) -> str:
        """The UTC day the usage is booked on."""
        return day_of(self.reserved_at)

    @property
    def month(self) -> str:
        """The UTC month whose budget the reservation counts in."""
        return month_of(self.reserved_at)


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of a request so far. `cached_prompt_tokens` are among the prompt's."""

    prompt_tokens: int = 0
    cached_prompt_tokens: int = 0
    completion_tokens: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.cached_prompt_tokens <= self.prompt_tokens or self.completion_tokens < 0:
            raise ValueError(f"{self} is not a count of tokens")

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together."""
        return self.prompt_tokens + self.completion_tokens

    def cost(self, price: Price) -> int:
        """The cost in nano-dollars."""
        return price.cost(self.prompt_tokens, self.cached_prompt_tokens, self.completion_tokens)


class LimitName(StrEnum):
    """The limits that a reservation is held to."""

    REQUESTS_PER_MINUTE = "requests_per_minute"
    TOKENS_PER_MINUTE = "tokens_per_minute"
    CONCURRENT_REQUESTS = "concurrent_requests"
    MONTHLY_BUDGET = "monthly_budget"
    MONTHLY_TOKENS = "monthly_tokens"

    @property
    def monthly(self) -> bool:
        """Whether it is a budget of the month, and not a rate."""
        return self in (LimitName.MONTHLY_BUDGET, LimitName.MONTHLY_TOKENS)


@dataclass(frozen=True, slots=True)
class Standing:
    """A limit and how much of it is taken: settled (`spent`), and set aside for running requests."""

    limit: int
    spent: int
    reserved: int

    @property
    def remaining(self) -> int:
        """What is left, never below zero."""
        return max(self.limit - self.spent - self.reserved, 0)


Standings = dict[LimitName, Standing]
"""The limits that are set; where account and key both have one, the one with less left."""


@dataclass(frozen=True, slots=True)
class Reserved:
    """A reservation was made; `standings` already count it."""

    lease: Lease
    standings: Standings


@dataclass(frozen=True, slots=True)
class Refused:
    """A reservation was refused, and nothing was changed. `requested` would have gone over the limit."""

    limit: LimitName
    scope: str  # "account" or "key"
    standing: Standing
    requested: int
    retry_at: int  # milliseconds: the earliest time at which trying again can help
    standings: Standings = field(default_factory=dict, compare=False)  # with the limits that have room

    @property
    def hopeless(self) -> bool:
        """Whether the request alone is over the limit, so that waiting cannot help."""
        return self.requested > self.standing.limit


class Claim(StrEnum):
    """What became of an attempt to take up a lease."""

    CLAIMED = "claimed"
    TAKEN = "taken"  # another attempt holds it, and its deadline has not passed
    CLOSED = "closed"  # settled, released or expired


class Settled(StrEnum):
    """How a settlement counted."""

    FIRST = "first"
    REPEATED = "repeated"  # already settled: nothing changed
    LATE = "late"  # after the lease was closed: the difference was added


@dataclass(frozen=True, slots=True)
class UsageRecord:
    """What one lease's requests used, mostly one. `provisional` until the GPU process itself has settled it."""

    request_id: str
    account_id: str
    key_id: str
    model: str
    day: str
    usage: Usage
    nano: int
    price_version: str
    outcome: str
    provisional: bool
    reserved_at: int
    settled_at: int
    requests: int = 1  # that it is about


@dataclass(frozen=True, slots=True)
class UsageRow:
    """Usage added up by account, key, model and UTC day."""

    account_id: str
    key_id: str
    model: str
    day: str
    requests: int
    usage: Usage
    nano: int


MAX_ANSWER = 300_000  # bytes of a stored answer; the largest item of DynamoDB holds it


@dataclass(frozen=True, slots=True)
class StoredAnswer:
    """An answer kept under an `Idempotency-Key`. ValueError for a body over MAX_ANSWER bytes."""

    status: int
    content_type: str
    body: bytes

    def __post_init__(self) -> None:
        if len(self.body) > MAX_ANSWER:
            raise ValueError(f"an answer of {len(self.body)} bytes is over {MAX_ANSWER}, the most that is stored")


class Idempotency(StrEnum):
    """What an `Idempotency-Key` says of a request that has no stored answer."""

    FRESH = "fresh"  # never seen: go on, then store or abandon
    IN_FLIGHT = "in_flight"  # the same request is running
    MISMATCH = "mismatch"  # the key was used with another body
    UNKEPT = "unkept"  # the same request was answered, and its answer was not kept


@dataclass(frozen=True, slots=True)
class Switch:
    """The switch over everybody: off, no key opens anything that spends. `reason` is for the callers."""

    on: bool = True
    reason: str = ""
    changed_at: int = 0  # milliseconds; 0: never


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the ledger that does not add up."""

    kind: str  # such as "rollup"
    subject: str  # such as a request's id
    message: str  # with the numbers


@dataclass(frozen=True, slots=True)
class Audit:
    """What was looked at, and what does not add up."""

    accounts: int
    leases: int  # live ones
    records: int
    rows: int  # of usage, added up
    nano: int  # of all records that were compared
    findings: tuple[Finding, ...]


class AccessDenied(Exception):
    """The account is switched off, or the key was revoked or has expired, since it was looked up."""


class LedgerUnavailable(Exception):
    """The store could not be reached, or was too busy, within its deadline. Nothing is known of the write."""
