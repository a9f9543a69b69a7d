"""Limits on the wire: integers, and the monthly budget in whole nano-dollars or in exact dollars."""

from typing import Annotated, Any, Self

from pydantic import BaseModel, BeforeValidator, Field, StringConstraints, model_validator

from penstock.administration import LimitsChange
from penstock.ledger import Limits
from penstock.ledger.records import MOST
from penstock.prices import dollars, nano_of
from penstock.schemas.reading import Strict, whole, wrong_at

Rate = Annotated[int, Field(ge=1, le=MOST), BeforeValidator(whole)]
Monthly = Annotated[int, Field(ge=0, le=MOST), BeforeValidator(whole)]
# Up to MOST nano-dollars, which are ten million dollars.
Dollars = Annotated[str, StringConstraints(pattern=r"^([0-9]{1,7}(\.[0-9]{1,9})?|10000000)$")]


class LimitsRequest(Strict):
    """Limits to set. One that is absent stays as it is, `null` takes it away.

    The monthly budget is given in nano-dollars or in dollars; both where they say the same.
    """

    requests_per_minute: Rate | None = None
    tokens_per_minute: Rate | None = None
    concurrent_requests: Rate | None = None
    monthly_budget_nano_usd: Monthly | None = None
    monthly_budget_usd: Dollars | None = None
    monthly_tokens: Monthly | None = None

    @model_validator(mode="after")
    def _one_budget(self) -> Self:
        both = {"monthly_budget_nano_usd", "monthly_budget_usd"} <= self.model_fields_set
        if both and self.monthly_budget_nano_usd != self._nano_of_dollars():
            raise wrong_at(".monthly_budget_usd", "differs from 'monthly_budget_nano_usd'; send one of them")
        return self

    def change(self) -> LimitsChange:
        """What is to change."""
        given: dict[str, Any] = {name: getattr(self, name) for name in self.model_fields_set}
        if "monthly_budget_usd" in given:
            given["monthly_budget_nano_usd"] = self._nano_of_dollars()
            del given["monthly_budget_usd"]
        change = LimitsChange()
        for name, limit in given.items():
            change["monthly_budget" if name == "monthly_budget_nano_usd" else name] = limit  # type: ignore[literal-required]
        return change

    def _nano_of_dollars(self) -> int | None:
        return None if self.monthly_budget_usd is None else nano_of(self.monthly_budget_usd)


class LimitsReport(BaseModel):
    """Limits as they are; `null` is none."""

    requests_per_minute: int | None
    tokens_per_minute: int | None
    concurrent_requests: int | None
    monthly_budget_nano_usd: int | None
    monthly_budget_usd: str | None  # exact, as a decimal
    monthly_tokens: int | None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """The limits on the wire."""
        budget = limits.monthly_budget
        return cls(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
            concurrent_requests=limits.concurrent_requests,
            monthly_budget_nano_usd=budget,
            monthly_budget_usd=None if budget is None else dollars(budget),
            monthly_tokens=limits.monthly_tokens,
        )
