"""The admin routes' wire format: accounts, keys and the switch. Penstock's own shapes.

They follow OpenAI's where it has them: lists are pages (`object`, `data`, `first_id`, `last_id`, `has_more`),
times are seconds since the epoch. Money is whole nano-dollars, and the same in exact dollars.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from penstock.administration import LONGEST, MAX_SCOPE, MAX_TEXT, ScopeChange
from penstock.clock import SECOND
from penstock.ledger import Account, Key, Switch
from penstock.schemas.identity import AccountId, KeyId, ModelId
from penstock.schemas.limits import LimitsReport, LimitsRequest
from penstock.schemas.page import Page, count_to
from penstock.schemas.reading import Strict, whole, wrong_at

MAX_PAGE = 100
A_DAY = 24 * 60 * 60  # seconds


def _different(names: list[str]) -> list[str]:
    if len(set(names)) != len(names):
        raise wrong_at("", "has a name twice")
    return names


Line = Annotated[str, StringConstraints(max_length=MAX_TEXT, pattern=r"^[^\x00-\x1f\x7f-\x9f\u2028\u2029]*$")]
Models = Annotated[
    list[ModelId],
    Field(min_length=1, max_length=MAX_SCOPE, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]
Routes = Annotated[
    list[Literal["chat", "completions", "embeddings", "files", "batches", "models", "usage", "admin"]],
    Field(min_length=1, max_length=8, json_schema_extra={"uniqueItems": True}),
    AfterValidator(_different),
]


class AccountRequest(Strict):
    """The body of `POST /admin/v1/accounts`."""

    id: AccountId
    name: Line = ""
    enabled: bool = True
    keep_answers: bool = Field(default=True, description="Whether answers are stored for their Idempotency-Key.")
    limits: LimitsRequest = Field(default_factory=LimitsRequest)


class AccountChange(Strict):
    """The body of `PATCH /admin/v1/accounts/{id}`: what is absent stays."""

    enabled: bool | None = None
    keep_answers: bool | None = None
    limits: LimitsRequest = Field(default_factory=LimitsRequest)


class _Scoped(Strict):
    """A key's scope to set; what is absent stays, `null` is every model, or all routes but `admin`."""

    models: Models | None = None
    routes: Routes | None = None

    def scope(self) -> ScopeChange:
        """What is to change of the scope."""
        change = ScopeChange()
        if "models" in self.model_fields_set:
            change["models"] = _scope(self.models)
        if "routes" in self.model_fields_set:
            change["routes"] = _scope(self.routes)
        return change


class KeyRequest(_Scoped):
    """The body of `POST /admin/v1/keys`. Without `models` every one, without `routes` all but `admin`."""

    account: AccountId
    name: Line = ""
    limits: LimitsRequest = Field(default_factory=LimitsRequest)
    expires_in_s: Annotated[int, Field(ge=1, le=LONGEST // SECOND), BeforeValidator(whole)] | None = None


class KeyChange(_Scoped):
    """The body of `PATCH /admin/v1/keys/{id}`: what is absent stays, `null` takes a limit or a scope away."""

    limits: LimitsRequest = Field(default_factory=LimitsRequest)


class RotateRequest(Strict):
    """The body of `POST /admin/v1/keys/{id}/rotate`."""

    grace_s: Annotated[int, Field(ge=0, le=LONGEST // SECOND), BeforeValidator(whole)] = Field(
        default=A_DAY, description="How long the old key still works, in seconds."
    )


class SwitchRequest(Strict):
    """The body of `PUT /admin/v1/switch`."""

    on: bool
    reason: Line = Field(default="", description="Told to the callers while it is off.")


class PageQuery(BaseModel):
    """Which part of a list is asked for, as of OpenAI's lists."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    limit: Annotated[int, Field(ge=1, le=MAX_PAGE), count_to(MAX_PAGE)] = 20


class AccountsQuery(PageQuery):
    """What `GET /admin/v1/accounts` is asked."""

    after: AccountId | None = Field(default=None, description="The id of the account before the first.")


class KeysQuery(PageQuery):
    """What `GET /admin/v1/keys` is asked."""

    after: KeyId | None = Field(default=None, description="The id of the key before the first.")
    account: AccountId | None = Field(default=None, description="Only this account's.")


class AccountReport(BaseModel):
    """An account."""

    object: Literal["account"] = "account"
    id: str
    name: str
    enabled: bool
    keep_answers: bool
    limits: LimitsReport
    created_at: int

    @classmethod
    def of(cls, account: Account) -> Self:
        """The account on the wire."""
        return cls(
            id=account.id,
            name=account.name,
            enabled=account.enabled,
            keep_answers=account.keep_answers,
            limits=LimitsReport.of(account.limits),
            created_at=account.created_at // SECOND,
        )


class KeyReport(BaseModel):
    """A key; what it opens is told only once, when it is made."""

    object: Literal["key"] = "key"
    id: str
    account: str
    name: str
    models: list[str] | None  # None: every model
    routes: list[str] | None  # None: all but `admin`
    limits: LimitsReport
    created_at: int
    expires_at: int | None
    revoked_at: int | None

    @classmethod
    def of(cls, record: Key, /, **more: Any) -> Self:
        """The key on the wire; `more` is what a subclass adds."""
        return cls(
            id=record.id,
            account=record.account_id,
            name=record.name,
            models=None if record.models is None else sorted(record.models),
            routes=None if record.routes is None else sorted(record.routes),
            limits=LimitsReport.of(record.limits),
            created_at=record.created_at // SECOND,
            expires_at=_seconds(record.expires_at),
            revoked_at=_seconds(record.revoked_at),
            **more,
        )


class NewKey(KeyReport):
    """A key that was made, in clear this once."""

    key: str


class RotatedKey(NewKey):
    """A key that was made in place of another, which ends at its `expires_at`."""

    replaces: KeyReport


class SwitchReport(BaseModel):
    """The switch over everybody."""

    object: Literal["switch"] = "switch"
    on: bool
    reason: str
    changed_at: int | None  # None: never

    @classmethod
    def of(cls, switch: Switch) -> Self:
        """The switch on the wire."""
        return cls(on=switch.on, reason=switch.reason, changed_at=_seconds(switch.changed_at) or None)


class AccountPage(Page):
    """Some of the accounts, oldest first."""

    data: list[AccountReport]


class KeyPage(Page):
    """Some of the keys, oldest first."""

    data: list[KeyReport]


def _scope(names: list[Any] | None) -> frozenset[str] | None:
    return None if names is None else frozenset(names)


def _seconds(at: int | None) -> int | None:
    return None if at is None else at // SECOND
