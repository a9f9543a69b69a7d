"""`GET /v1/usage`: the caller's own usage, limits and what remains. Penstock's own shape."""

from typing import Literal

from pydantic import BaseModel


class LimitReport(BaseModel):
    """A limit: requests, tokens, or nano-dollars for the monthly budget."""

    limit: int
    spent: int
    reserved: int
    remaining: int


class UsageReportRow(BaseModel):
    """One model on one UTC day."""

    day: str
    model: str
    requests: int
    prompt_tokens: int
    cached_prompt_tokens: int
    completion_tokens: int
    cost_nano_usd: int
    cost_usd: str  # exact, as a decimal


class UsageReport(BaseModel):
    """What this key used in the days asked for, and how it stands with its limits and its account's."""

    object: Literal["usage"] = "usage"
    account: str
    key: str
    since: str
    until: str
    limits: dict[str, LimitReport]
    data: list[UsageReportRow]
    total_cost_nano_usd: int
    total_cost_usd: str
