"""What is counted on an account's item, and the live leases in it.

    r29563200, t29563200      requests and tokens of a minute (counted from the epoch)
    n202603, m202603          nano-dollars and tokens of a month
    the same with .KEY        of one key           c.KEY    live leases of one key
    live                      a map: each live lease's name and what is set aside for it
    late                      a map: the settlements that came after their lease was closed, for a while

The minute and the month are in the attributes' names, so that a new one needs no write to begin it. A count
holds what is spent and what is set aside together: `reserve` adds the bound, a release adds the difference
to what was used. What is set aside is the sum over `live`; what is spent is the rest. Old minutes are
dropped by later reservations, and by `expire`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from penstock.clock import minute_of, month_of
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.limits import Amount, Taken, Windows
from penstock.ledger.records import Bound, Caller, Lease

KEPT_MINUTES = 2  # before the present one; a limit looks at one, the others are slack for clocks that differ
_MINUTES = re.compile(r"[rt](\d+)(?:\..*)?")
_MONTHS = re.compile(r"[nm](\d{6})(?:\..*)?")
_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Member:
    """A live lease, as the account's item has it: enough to give everything back without another read."""

    key_id: str
    reserved_at: int
    deadline: int  # for a claim
    bound: Bound
    requests: int = 1

    @property
    def minute(self) -> int:
        """The minute whose windows the reservation counts in."""
        return minute_of(self.reserved_at)

    def text(self) -> str:
        """It as text, short, because the whole item is paid for with every write.

        One of several requests begins with their number: `1s*`, for 64.
        """
        several = f"{_base36(self.requests)}*" if self.requests > 1 else ""
        numbers = (self.reserved_at, self.deadline - self.reserved_at, self.bound.tokens, self.bound.nano)
        return several + ".".join((*map(_base36, numbers), self.key_id))

    @classmethod
    def parse(cls, text: str) -> "Member":
        """It from its text."""
        beginning, span, tokens, nano, key_id = text.split(".", 4)
        several, _, reserved_at = beginning.rpartition("*")
        begun, bound = int(reserved_at, 36), Bound(int(tokens, 36), int(nano, 36))
        return cls(key_id, begun, begun + int(span, 36), bound, int(several or "1", 36))

    @classmethod
    def of(cls, lease: Lease, bound: Bound) -> "Member":
        """The lease with `bound` set aside for it."""
        return cls(lease.key_id, lease.reserved_at, lease.deadline, bound, lease.requests)


def member_name(request_id: str) -> str:
    """The request's name in a map: an id of ours without what all of them begin with."""
    return request_id[4:] if request_id.startswith("req_") else f"!{request_id}"


def request_id_of(name: str) -> str:
    """The request of that name."""
    return name[1:] if name.startswith("!") else f"req_{name}"


@dataclass(frozen=True, slots=True)
class Names:
    """The names of the counts that a request of this time and key counts in."""

    minute: int
    month: str  # YYYYMM
    key_id: str

    @classmethod
    def at(cls, at: int, key_id: str) -> "Names":
        """Those of the moment `at`."""
        return cls(minute_of(at), month_of(at).replace("-", ""), key_id)

    def changes(self, amount: Amount, *, live: int = 0, minutes: bool = True) -> dict[str, int]:
        """What to add to each count for the amount: of the account and of the key."""
        counts = {f"n{self.month}": amount.nano, f"m{self.month}": amount.monthly_tokens}
        if minutes:
            counts |= {f"r{self.minute}": amount.requests, f"t{self.minute}": amount.tokens}
        of_key = {self.of_key(name): number for name, number in counts.items()}
        every = counts | of_key | {self.live_of_key: live}
        return {name: number for name, number in every.items() if number}

    def of_key(self, name: str) -> str:
        """The key's count beside the account's."""
        return f"{name}.{self.key_id}"

    @property
    def live_of_key(self) -> str:
        """The count of the key's live leases."""
        return f"c.{self.key_id}"


def live_of(item: Item) -> dict[str, Member]:
    """The live leases by their names."""
    texts: Mapping[str, str] = item["live"]
    return {name: Member.parse(text) for name, text in texts.items()}


def windows(item: Item, caller: Caller, now: int) -> Windows:
    """What the caller has taken of the windows that hold `now`, told from the account's item."""
    names, live = Names.at(now, caller.key.id), live_of(item).values()
    of_key = [member for member in live if member.key_id == caller.key.id]
    return Windows(
        caller,
        account=_taken(item, live, names, now, ""),
        key=_taken(item, of_key, names, now, f".{caller.key.id}"),
    )


def stale(item: Item, now: int, kept: int = KEPT_MINUTES) -> list[str]:
    """The counts that nothing asks for any more: of minutes before the last few, and months before the last."""
    minute, year, month = minute_of(now) - kept, *map(int, month_of(now).split("-"))
    oldest_month = f"{year - (month == 1):04d}{(month - 2) % 12 + 1:02d}"
    old = [name for name in item if (found := _MINUTES.fullmatch(name)) and int(found[1]) < minute]
    return old + [name for name in item if (found := _MONTHS.fullmatch(name)) and found[1] < oldest_month]


def _taken(item: Item, live: Iterable[Member], names: Names, now: int, suffix: str) -> Taken:
    members = list(live)
    this_minute = [member for member in members if member.minute == names.minute]
    this_month = [member for member in members if month_of(member.reserved_at) == month_of(now)]
    aside = Amount(
        requests=sum(member.requests for member in this_minute),
        tokens=sum(member.bound.tokens for member in this_minute),
        nano=sum(member.bound.nano for member in this_month),
        monthly_tokens=sum(member.bound.tokens for member in this_month),
    )
    # Below 0 only where a minute was dropped while a request of it still ran.
    spent = Amount(
        requests=max(item.get(f"r{names.minute}{suffix}", 0) - aside.requests, 0),
        tokens=max(item.get(f"t{names.minute}{suffix}", 0) - aside.tokens, 0),
        nano=max(item.get(f"n{names.month}{suffix}", 0) - aside.nano, 0),
        monthly_tokens=max(item.get(f"m{names.month}{suffix}", 0) - aside.monthly_tokens, 0),
    )
    return Taken(spent, aside, len(members))


def _base36(number: int) -> str:
    if number < 0:  # a deadline in the past
        return f"-{_base36(-number)}"
    digits = ""
    while number:
        number, digit = divmod(number, 36)
        digits = _DIGITS[digit] + digits
    return digits or "0"
