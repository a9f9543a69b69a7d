"""`GET /v1/usage` and `GET /admin/v1/usage`: what is asked, and what is reported. Penstock's own shapes."""

from datetime import date, timedelta
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from penstock.errors import BadRequest
from penstock.reports import GROUPS, Group
from penstock.schemas.identity import AccountId, KeyId, ModelId
from penstock.schemas.reading import wrong_at

MAX_DAYS = 400  # in one report
_DAY_LENGTH = len("2026-01-31")


def _day(text: str) -> str:
    try:
        if len(text) != _DAY_LENGTH or not text.isascii():
            raise ValueError
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise wrong_at("", "must be a day, as YYYY-MM-DD") from None


def _names(text: object) -> object:
    names = tuple(text.split(",")) if isinstance(text, str) else text
    if isinstance(names, tuple) and len(set(names)) != len(names):
        raise wrong_at("", "has a name twice")
    return names


def _groups(*names: str) -> WithJsonSchema:
    return WithJsonSchema(
        {"type": "array", "items": {"type": "string", "enum": list(names)}, "minItems": 1, "uniqueItems": True}
    )


Day = Annotated[str, AfterValidator(_day), WithJsonSchema({"type": "string", "format": "date"})]
Grouped = Annotated[str | None, Field(exclude_if=lambda value: value is None)]
OwnGroup = Literal["day", "key", "model"]


class _Days(BaseModel):
    """The days of a report, both included, in UTC."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    since: Day | None = Field(default=None, description="The first UTC day; without it, the first of until's month.")
    until: Day | None = Field(default=None, description="The last UTC day; without it, today.")
    model: ModelId | None = Field(default=None, description="Only this model's.")
    format: Literal["json", "csv"] = Field(default="json", description="'csv' is as in RFC 4180, with a header line.")

    def days(self, today: str) -> tuple[str, str]:
        """The first and the last day. Raises BadRequest where they are in the wrong order or too far apart."""
        until = self.until or today
        since = self.since or f"{until[:7]}-01"
        if since > until:
            raise BadRequest(f"since: {since} is after {until}.", param="since", code="invalid_value")
        if date.fromisoformat(until) - date.fromisoformat(since) >= timedelta(days=MAX_DAYS):
            raise BadRequest(f"since: a report has at most {MAX_DAYS} days.", param="since", code="invalid_value")
        return since, until


class UsageQuery(_Days):
    """What `GET /v1/usage` is asked."""

    of: Literal["key", "account"] = Field(
        default="key", description="The calling key's usage, or that of all keys of its account."
    )
    group_by: Annotated[tuple[OwnGroup, ...], BeforeValidator(_names), _groups("day", "key", "model")] = Field(
        default=("day", "key", "model"), description="What the usage is added up by, separated by commas."
    )


class AdminUsageQuery(_Days):
    """What `GET /admin/v1/usage` is asked."""

    account: AccountId | None = Field(default=None, description="Only this account's.")
    key: KeyId | None = Field(default=None, description="Only this key's.")
    group_by: Annotated[tuple[Group, ...], BeforeValidator(_names), _groups(*GROUPS)] = Field(
        default=GROUPS, description="What the usage is added up by, separated by commas."
    )


class LimitReport(BaseModel):
    """A limit: requests, tokens, or nano-dollars for the monthly budget."""

    limit: int
    spent: int
    reserved: int
    remaining: int


class UsageReportRow(BaseModel):
    """Usage added up; of `day`, `account`, `key` and `model` it has those that were asked for."""

    day: Grouped = None
    account: Grouped = None
    key: Grouped = None
    model: Grouped = None
    requests: int
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    cost_nano_usd: int
    cost_usd: str  # exact, as a decimal


class AdminUsageReport(BaseModel):
    """What was used in the days asked for. `data` adds up to the total."""

    object: Literal["usage"] = "usage"
    since: str
    until: str
    group_by: tuple[Group, ...]
    data: list[UsageReportRow]
    total_requests: int
    total_cost_nano_usd: int
    total_cost_usd: str


class UsageReport(AdminUsageReport):
    """The same for a key or its account, and how the calling key stands with its limits and its account's."""

    account: str
    key: str | None  # None: of all keys of the account
    limits: dict[str, LimitReport]
