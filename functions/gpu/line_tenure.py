"""A line's tenure: the hold that a line of a batch has on its slice's lease.

The lease of a slice is reserved and settled by whoever works on the slice (functions.gpu.shards). Of a line within
it nothing is claimed, recorded or booked on its own: this only counts, and says how the line ended.
"""

from types import TracebackType
from typing import Self

from functions.gpu.gate import Gate
from penstock.ledger import Bound, Lease, Usage

SILENCE_S = 3_600.0  # a line may wait for its place longer than anybody would for an answer


class LineTenure:
    """Used as a Tenure is. `lease` is the line's share of the slice's: its id is the line's own."""

    silence_s = SILENCE_S

    def __init__(self, lease: Lease, gate: Gate) -> None:
        self.lease = lease
        self.usage = Usage()  # so far
        self.booked: Usage | None = None  # all that it used, once it has ended
        self.outcome: str | None = None  # and how
        self._gate = gate

    @property
    def owner(self) -> str:
        """Whose turn it is in the engine: an account's batches have turns of their own, beside its requests."""
        return f"{self.lease.account_id}/batch"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._gate.forget(self.lease.id)  # a line that failed may be tried again

    def begin(self, bound: Bound) -> None:
        """Nothing is claimed: the line's bound is within that of the slice."""

    async def claimed(self) -> None:
        """It is ours already."""

    def used(self, usage: Usage) -> None:
        """Count what the line has used so far."""
        self.usage = usage

    async def settle(self, outcome: str) -> None:
        """Say how it ended; the slice's lease is settled with the sum of its lines."""
        self.booked, self.outcome = self.usage, outcome
