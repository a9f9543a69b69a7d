"""Records as text, and back: JSON, as both stores keep them.

What an older program has written lacks fields that came later: they take their defaults. What a newer one has added
is passed over.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any

from penstock.batches.records import Batch, File, FileState, Hold, InputError, Purpose, Shard, ShardState, Status
from penstock.ledger.records import Usage

Record = File | Batch | Shard

MOST = 350_000  # bytes of a record's text; the largest item of DynamoDB holds it


def text_of(record: Record) -> str:
    """The record's text: the same for equal records. ValueError for one over MOST bytes.

    A lone surrogate, which no store can hold, becomes a question mark.
    """
    text = json.dumps(asdict(record), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    content = text.encode("utf-8", "replace")
    if len(content) > MOST:
        raise ValueError(
            f"the record of {_name(record)} takes {len(content)} bytes, over {MOST}, the most that is kept"
        )
    return content.decode()


def file_of(text: str) -> File:
    """The file of that text."""
    told = _told(File, json.loads(text))
    told["purpose"] = Purpose(told["purpose"])
    if "state" in told:
        told["state"] = FileState(told["state"])
    return File(**told)


def batch_of(text: str) -> Batch:
    """The batch of that text."""
    told = _told(Batch, json.loads(text))
    if "status" in told:
        told["status"] = Status(told["status"])
    if "usage" in told:
        told["usage"] = _usage(told["usage"])
    if told.get("hold") is not None:
        told["hold"] = Hold(**_told(Hold, told["hold"]))
    told["errors"] = tuple(InputError(**_told(InputError, error)) for error in told.get("errors", ()))
    return Batch(**told)


def shard_of(text: str) -> Shard:
    """The shard of that text."""
    told = _told(Shard, json.loads(text))
    if "state" in told:
        told["state"] = ShardState(told["state"])
    if "usage" in told:
        told["usage"] = _usage(told["usage"])
    return Shard(**told)


def _usage(told: Mapping[str, Any]) -> Usage:
    return Usage(**_told(Usage, told))


def _told(kind: type, told: Mapping[str, Any]) -> dict[str, Any]:
    """What is told of the fields that this program knows."""
    return {field.name: told[field.name] for field in fields(kind) if field.name in told}


def _name(record: Record) -> str:
    return f"{record.batch_id}'s shard {record.number}" if isinstance(record, Shard) else record.id
