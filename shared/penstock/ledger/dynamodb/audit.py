"""The audit: everything that is kept twice, compared, while the table is in use.

The sums of a day are read before the records and after them. A record and its sum change together, so what
the records come to lies between the two readings; what does not is a finding, and no race. A count against
a budget is compared with the sums in the same way, and again where it differs, since a settlement in
progress is in one and not yet in the other.

Records end by TTL: days whose records may be gone are not compared.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from penstock.clock import MINUTE, SECOND, day_of, month_of
from penstock.ledger.dynamodb import callers
from penstock.ledger.dynamodb.keys import REQUEST, account_key, request_key
from penstock.ledger.dynamodb.meter import Member, live_of, member_name, request_id_of
from penstock.ledger.dynamodb.request import (
    BOOKED,
    CLAIMED,
    KEPT,
    counted_of,
    owed_of,
    price_of,
    usage_of,
    usage_record,
)
from penstock.ledger.dynamodb.table import Table
from penstock.ledger.dynamodb.usage import rows
from penstock.ledger.dynamodb.values import Item
from penstock.ledger.records import Audit, Finding, UsageRecord, UsageRow
from penstock.ledger.rules import bound_of

_DAY = 24 * 3_600 * SECOND
# A dead lease is closed by the next schedule; one that is dead for longer says that no schedule runs.
UNREAPED = 10 * MINUTE
_TRIES = 3  # of a comparison that a running request can disturb

Group = tuple[str, str, str, str]  # account, key, model, day
Sums = dict[Group, Counter[str]]


@dataclass(slots=True)
class _Records:
    """What a scan of the records came to."""

    count: int = 0
    nano: int = 0
    sums: Sums = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    claimed: dict[str, str] = field(default_factory=dict)  # accounts by the requests that are said to run
    owing: list[str] = field(default_factory=list)  # requests whose late settlement is not finished

    def add(self, item: Item, since: str, now: int) -> None:
        if item["state"] == CLAIMED:
            self.claimed[item["request_id"]] = item["account_id"]
        if owed_of(item) is not None:
            self.owing.append(item["request_id"])
        if item["state"] not in BOOKED:
            return
        record = usage_record(item)
        if record.day < since:
            return
        self.count += 1
        self.nano += record.nano
        group = (record.account_id, record.key_id, record.model, record.day)
        self.sums.setdefault(group, Counter()).update(_numbers(record, record.requests))
        cost = bound_of(usage_of(item), price_of(item)).nano
        if cost != record.nano:
            message = f"the record says {record.nano} nano-dollars, its tokens at its price come to {cost}"
            self.findings.append(Finding("cost", record.request_id, message))


async def audit(table: Table, now: int) -> Audit:
    """Compare it all. See the protocol."""
    since = day_of(now - KEPT * SECOND + 2 * _DAY)
    before = _sums(await rows(table, None, None, since, "~"))
    records = _Records()
    async for item in table.scan(REQUEST):
        records.add(item, since, now)
    summed = await rows(table, None, None, since, "~")
    findings = records.findings + list(_compare(before, records.sums, _sums(summed)))
    accounts = await callers.account_items(table)
    for account in accounts:
        findings += await _account(table, account, now)
    findings += await _orphans(table, records)
    return Audit(
        accounts=len(accounts),
        leases=sum(len(account["live"]) for account in accounts),
        records=records.count,
        rows=len(summed),
        nano=records.nano,
        findings=tuple(dict.fromkeys(findings)),
    )


def _compare(before: Sums, records: Sums, after: Sums) -> Iterable[Finding]:
    for group in sorted(before.keys() | records.keys() | after.keys()):
        low, found, high = (sums.get(group, Counter()) for sums in (before, records, after))
        for name in sorted(high.keys() | found.keys()):
            if not min(low[name], high[name]) <= found[name] <= max(low[name], high[name]):
                message = f"the sum of {name} is {high[name]}, its records come to {found[name]}"
                yield Finding("rollup", "/".join(group), message)


def _sums(summed: Iterable[UsageRow]) -> Sums:
    return {(row.account_id, row.key_id, row.model, row.day): _numbers(row, row.requests) for row in summed}


def _numbers(of: UsageRow | UsageRecord, requests: int) -> Counter[str]:
    usage = of.usage
    return Counter(
        requests=requests,
        prompt_tokens=usage.prompt_tokens,
        cached_prompt_tokens=usage.cached_prompt_tokens,
        completion_tokens=usage.completion_tokens,
        nano=of.nano,
    )


async def _account(table: Table, account: Item, now: int) -> list[Finding]:
    """What does not add up on one account's item, however often it is looked at."""
    lasting: set[Finding] | None = None
    known: Item | None = account
    for _ in range(_TRIES):
        if known is None:
            return []
        findings = set(await _leases(table, known, now)) | set(await _budgets(table, known, now))
        lasting = findings if lasting is None else {one for one in lasting if _same(one, findings)}
        if not lasting:
            return []
        known = await table.get(account_key(account["id"]))
    return sorted(lasting or (), key=lambda one: (one.kind, one.subject))


def _same(finding: Finding, others: set[Finding]) -> bool:
    return any((finding.kind, finding.subject) == (other.kind, other.subject) for other in others)


async def _leases(table: Table, account: Item, now: int) -> list[Finding]:
    findings = []
    records = await _records_of(table, account)
    for name, member in live_of(account).items():
        request_id = request_id_of(name)
        record = records.get(request_id)
        if record is not None and record["state"] != CLAIMED:
            message = f"its record is {record['state']}, and it still sets {member.bound.tokens} tokens aside"
            findings.append(Finding("lease", request_id, message))
        elif (deadline := member.deadline if record is None else record["deadline"]) < now - UNREAPED:
            findings.append(_unreaped(request_id, deadline, now))
    return findings


async def _orphans(table: Table, records: _Records) -> list[Finding]:
    """Records that wait for something which no account's item knows of."""
    findings = []
    for request_id, account_id in records.claimed.items():
        account = await table.get(account_key(account_id))
        if account is None or member_name(request_id) in account["live"]:
            continue
        record = await table.get(request_key(request_id))
        if record is not None and record["state"] == CLAIMED:
            findings.append(Finding("lease", request_id, "its record is claimed, and it is not among the live leases"))
    for request_id in records.owing:
        record = await table.get(request_key(request_id))
        if record is not None and owed_of(record) is not None:
            findings.append(Finding("lease", request_id, "its late settlement is not finished; `expire` finishes it"))
    return findings


def _unreaped(request_id: str, deadline: int, now: int) -> Finding:
    minutes = (now - deadline) // MINUTE
    return Finding("lease", request_id, f"its deadline passed {minutes} minutes ago and nobody has closed it")


async def _budgets(table: Table, account: Item, now: int) -> list[Finding]:
    """What is counted against this month's budgets, beside what the sums and the live leases come to."""
    month = month_of(now)
    summed = await rows(table, account["id"], None, month, f"{month}-~")
    records = await _records_of(table, account)
    findings = []
    for key_id in ("", *sorted({row.key_id for row in summed})):
        expected: Counter[str] = Counter()
        for row in summed:
            if key_id in ("", row.key_id):
                expected.update(n=row.nano, m=row.usage.total_tokens)
        for name, member in live_of(account).items():
            if key_id in ("", member.key_id) and month_of(member.reserved_at) == month:
                expected.update(_pending(member, records.get(request_id_of(name))))
        for count, unit in (("n", "nano-dollars"), ("m", "tokens")):
            counted = account.get(f"{count}{month.replace('-', '')}{key_id and '.'}{key_id}", 0)
            if counted != expected[count]:
                subject = f"{account['id']}{key_id and '/'}{key_id} {month}"
                message = f"{counted} {unit} are counted, its usage and live leases come to {expected[count]}"
                findings.append(Finding("budget", subject, message))
    return findings


def _pending(member: Member, record: Item | None) -> Counter[str]:
    """What a live lease adds to a count beyond what the sums hold of it."""
    pending = Counter(n=member.bound.nano, m=member.bound.tokens)
    if record is not None and record["state"] in BOOKED:
        booked = counted_of(record)
        pending.subtract({"n": booked.nano, "m": booked.tokens})
    return pending


async def _records_of(table: Table, account: Item) -> dict[str, Item]:
    ids = map(request_id_of, account["live"])
    return {item["pk"].removeprefix(REQUEST): item for item in await table.get_all([request_key(one) for one in ids])}
