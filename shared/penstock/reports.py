"""Usage as it is reported: added up over any of day, account, key and model, as JSON and as CSV.

Counts are integers, and a cost is given twice: in whole nano-dollars, and in exact dollars. The rows come
from the ledger; which of them somebody may see is for the caller of this to know.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from penstock.ledger.records import Usage, UsageRow
from penstock.prices import dollars

Group = Literal["day", "account", "key", "model"]
GROUPS: tuple[Group, ...] = ("day", "account", "key", "model")
COUNTS = ("requests", "prompt_tokens", "cached_prompt_tokens", "completion_tokens")
_COSTS = ("cost_nano_usd", "cost_usd")
_NOTHING = Usage()


@dataclass(frozen=True, slots=True)
class Line:
    """Usage added up. `group` has, for each group that was asked for, what its rows have in common."""

    group: tuple[tuple[str, str], ...]
    requests: int = 0
    usage: Usage = _NOTHING
    nano: int = 0

    def plus(self, row: UsageRow) -> "Line":
        """The same with a row more."""
        usage = Usage(
            self.usage.prompt_tokens + row.usage.prompt_tokens,
            self.usage.cached_prompt_tokens + row.usage.cached_prompt_tokens,
            self.usage.completion_tokens + row.usage.completion_tokens,
        )
        return Line(self.group, self.requests + row.requests, usage, self.nano + row.nano)

    def as_json(self) -> dict[str, Any]:
        """The line's columns, in their order."""
        return {
            **dict(self.group),
            "requests": self.requests,
            "prompt_tokens": self.usage.prompt_tokens,
            "cached_prompt_tokens": self.usage.cached_prompt_tokens,
            "completion_tokens": self.usage.completion_tokens,
            "cost_nano_usd": self.nano,
            "cost_usd": dollars(self.nano),
        }


def grouped(rows: Sequence[UsageRow], by: Sequence[str], model: str | None = None) -> list[Line]:
    """The rows (of one model, where it is given) added up by these of GROUPS, sorted by them."""
    lines: dict[tuple[tuple[str, str], ...], Line] = {}
    for row in rows:
        if model is None or row.model == model:
            group = tuple((name, value) for name, value in _columns(row) if name in by)
            lines[group] = lines.get(group, Line(group)).plus(row)
    return [lines[group] for group in sorted(lines)]


def total(rows: Sequence[UsageRow], model: str | None = None) -> Line:
    """All the rows (of one model, where it is given) in one line."""
    return next(iter(grouped(rows, (), model)), Line(()))


def csv_text(lines: Sequence[Line], by: Sequence[str]) -> str:
    """The lines as in RFC 4180, with a header line."""
    out = io.StringIO()
    columns = [name for name in GROUPS if name in by]
    writer = csv.DictWriter(out, [*columns, *COUNTS, *_COSTS], lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(line.as_json() for line in lines)
    return out.getvalue()


def _columns(row: UsageRow) -> tuple[tuple[str, str], ...]:
    return (("day", row.day), ("account", row.account_id), ("key", row.key_id), ("model", row.model))
