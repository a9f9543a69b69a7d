"""A lease to try things with."""

from penstock.ledger import Bound, Lease
from penstock.prices import Price

NOW = 1_750_000_000_000
LEASE = Lease(
    id="req_1",
    account_id="acme",
    key_id="key_1",
    model="demo",
    bound=Bound(tokens=1_024, nano=1_024 * 400),
    price=Price("2026-01-01", prompt=100, cached_prompt=50, completion=400),
    reserved_at=NOW,
    deadline=NOW + 60_000,
)
