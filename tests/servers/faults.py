"""What can go wrong between a client and DynamoDB or S3, by chance but repeatable: seeded, at a rate for each request.

The errors have the form which DynamoDB gives them ("Programmatic errors with DynamoDB", and the operations'
own lists): JSON whose `__type` ends with the name of the error; S3's are in `storage`. `proxy.Proxy` puts them in the
way.
"""

import json
import random
from collections import Counter
from enum import StrEnum
from typing import Any

from tests.servers import storage
from tests.servers.storage import OBJECTS

WRITES = frozenset({"PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem"})
READS = frozenset({"GetItem", "BatchGetItem", "Query", "Scan"})
TRANSACTIONS = frozenset({"TransactWriteItems", "TransactGetItems"})
DATA_PLANE = WRITES | READS | TRANSACTIONS


class Fault(StrEnum):
    """One thing that goes wrong, named after the error where there is one."""

    THROTTLED = "ThrottlingException"
    OVER_CAPACITY = "ProvisionedThroughputExceededException"
    FAILED = "InternalServerError"
    CONFLICT = "TransactionConflictException"  # for a transaction: it is cancelled for that reason
    UNREACHED = "connection closed before the request was forwarded"
    ANSWER_LOST = "connection closed after the request took effect"
    ANSWER_SPOILT = "InternalServerError after the request took effect"

    @property
    def forwarded(self) -> bool:
        """Whether DynamoDB acts on the request all the same."""
        return self in (Fault.ANSWER_LOST, Fault.ANSWER_SPOILT)

    @property
    def closes(self) -> bool:
        """Whether the client gets no answer, and its connection is closed."""
        return self in (Fault.UNREACHED, Fault.ANSWER_LOST)


class Faults:
    """Chooses the faults, and counts them by operation. Operations on tables never fail.

    `rate` is the share of requests that go wrong; it may be changed at any time. `only` are the faults to choose
    from, for a test of one of them. A fault that an operation cannot have does not befall it.
    """

    def __init__(self, seed: int, *, rate: float = 0.2, only: frozenset[Fault] = frozenset(Fault)) -> None:
        self.rate = rate
        self.only = only
        self.done: Counter[tuple[str, Fault]] = Counter()
        self._random = random.Random(seed)

    def choose(self, operation: str) -> Fault | None:
        """What befalls the next request, if anything."""
        if operation not in DATA_PLANE | OBJECTS or self._random.random() >= self.rate:
            return None
        possible = [fault for fault in Fault if fault in self.only and _may_befall(fault, operation)]
        if not possible:
            return None
        fault = self._random.choice(possible)
        self.done[operation, fault] += 1
        return fault


# S3's names of them; all others are errors of its own.
_STORAGE = {Fault.THROTTLED: "SlowDown", Fault.CONFLICT: "ConditionalRequestConflict"}


def _may_befall(fault: Fault, operation: str) -> bool:
    if operation in OBJECTS:
        return fault is not Fault.OVER_CAPACITY and (fault is not Fault.CONFLICT or operation == "PutObject")
    # BatchWriteItem hands back what conflicts as unprocessed; reads of single items see no transaction.
    return fault is not Fault.CONFLICT or (operation in WRITES | TRANSACTIONS and operation != "BatchWriteItem")


def answer(fault: Fault, operation: str, body: bytes) -> tuple[int, bytes]:
    """The status and the body that the client gets for a fault which does not close its connection."""
    if operation in OBJECTS:
        return storage.answer(_STORAGE.get(fault, "InternalError"))
    if fault is Fault.CONFLICT and operation in TRANSACTIONS:
        return 400, json.dumps(_cancelled(body)).encode()
    if fault in (Fault.FAILED, Fault.ANSWER_SPOILT):
        return 500, json.dumps(_error(Fault.FAILED, "The request could not be processed.")).encode()
    return 400, json.dumps(_error(fault, "Try again.")).encode()


def _error(name: str, message: str) -> dict[str, Any]:
    return {"__type": f"com.amazonaws.dynamodb.v20120810#{name}", "message": message}


def _cancelled(body: bytes) -> dict[str, Any]:
    """A transaction of whose items the first one is held by another transaction."""
    items = len(json.loads(body)["TransactItems"])
    conflict = {"Code": "TransactionConflict", "Message": "Transaction is ongoing for the item"}
    reasons = [conflict, *[{"Code": "None"}] * (items - 1)]
    codes = ", ".join(reason["Code"] for reason in reasons)
    message = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
    error = _error("TransactionCanceledException", message)
    return {"__type": error["__type"], "Message": message, "CancellationReasons": reasons}
