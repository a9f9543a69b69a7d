"""Entries of a log, to try things with."""

from collections.abc import Sequence
from dataclasses import replace

from penstock.batches.log import Begun, Ended, Result
from penstock.batches.orders import ShardLine
from penstock.ledger import Usage
from tests.unit.gpu.lease import LEASE


def begun(number: int, *lines: int) -> Begun:
    """A slice of these lines."""
    return Begun(number, lines, replace(LEASE, id=f"req_slice{number}", requests=max(1, len(lines))))


def ended(number: int, *lines: int, failed: Sequence[int] = ()) -> Ended:
    """The end of a slice: these lines were answered, with three tokens each, and those failed."""
    results = [Result(line, 200, f"req_{line}", b"{}") for line in lines]
    results += [Result(line, 500, f"req_{line}", b"{}") for line in failed]
    lease = replace(begun(number).lease, requests=len(lines)) if lines else None
    return Ended(number, lease, Usage(2 * len(lines), 0, len(lines)), tuple(results))


def shard_line(number: int) -> ShardLine:
    """A line of a shard."""
    body = {"model": "demo", "messages": [{"role": "user", "content": f"number {number}"}]}
    return ShardLine(line=number, custom_id=f"line-{number}", url="/v1/chat/completions", body=body)
