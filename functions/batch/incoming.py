"""A file that was dropped into `incoming/`, and the batch that it becomes.

    incoming/NAME.jsonl             on the service's own key
    incoming/KEY_ID/NAME.jsonl      on that key

Its results lie under the same name in `results/`: NAME.output.jsonl, NAME.errors.jsonl, and NAME.batch.json, which is
the batch as the API shows it, written last. A file that cannot become a batch has its reason in NAME.errors.jsonl.
"""

import re
from dataclasses import dataclass
from hashlib import sha256

import orjson
import structlog

from functions.batch.making import WINDOW_S, expires_at, make
from functions.batch.plant import Plant
from penstock.batches.addresses import INCOMING, RESULTS
from penstock.batches.records import Batch, File, Purpose, derived_id
from penstock.ledger import Caller

SUFFIX = ".jsonl"

_NAME = re.compile(r"(?:([0-9A-Za-z_]{1,64})/)?([^/]+)")

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Drop:
    """An object that was put. `version` is another one each time that an object is put, and the same each time that
    this is told."""

    key: str
    version: str
    size: int  # bytes
    at: int  # milliseconds

    @property
    def name(self) -> str:
        """The key without what all of them begin and end with."""
        return self.key.removeprefix(INCOMING).removesuffix(SUFFIX)


async def accept(plant: Plant, drop: Drop) -> Batch | None:
    """The batch that was made of it, now or before; None where it was refused, which is written beside its results.

    Raises LedgerUnavailable and ObjectsUnavailable.
    """
    caller, refusal = await _caller(plant, drop)
    if caller is None:
        log.error("drop_refused", key=drop.key, reason=refusal)
        await plant.objects.put(_errors(drop), _told(refusal))
        return None
    file, batch = _made(drop, caller)
    await make(plant, file, batch)
    log.info("dropped", batch=batch.id, account=batch.account_id, bytes=drop.size)
    return batch


async def _caller(plant: Plant, drop: Drop) -> tuple[Caller | None, str]:
    """On whose behalf it was dropped; or None, and why there is nobody."""
    found = _NAME.fullmatch(drop.name)
    if found is None or not (drop.key.startswith(INCOMING) and drop.key.endswith(SUFFIX)):
        return None, f"A file is dropped as {INCOMING}NAME{SUFFIX} or {INCOMING}KEY_ID/NAME{SUFFIX}."
    key_id = found[1] or plant.settings.service_key_id
    if key_id is None:
        return None, f"Nobody pays for {INCOMING}NAME{SUFFIX} here; drop it as {INCOMING}KEY_ID/NAME{SUFFIX}."
    caller = await plant.ledger.caller(key_id)
    return caller, "" if caller else f"There is no API key with the id {key_id!r}."


def _made(drop: Drop, caller: Caller) -> tuple[File, Batch]:
    digest = sha256(f"{drop.key}\0{drop.version}".encode()).digest()
    account_id, file_id = caller.account.id, derived_id("file-", drop.at, digest)
    filename = drop.key.rsplit("/", 1)[-1]
    file = File(file_id, account_id, Purpose.BATCH, filename, drop.size, drop.key, drop.at)
    batch = Batch(
        id=derived_id("batch_", drop.at, digest),
        account_id=account_id,
        key_id=caller.key.id,
        endpoint="",
        input_file_id=file_id,
        input_address=drop.key,
        window_s=WINDOW_S,
        created_at=drop.at,
        expires_at=expires_at(drop.at),
        output_address=f"{RESULTS}{drop.name}.output.jsonl",
        error_address=_errors(drop),
    )
    return file, batch


def _errors(drop: Drop) -> str:
    return f"{RESULTS}{drop.name}.errors.jsonl"


def _told(refusal: str) -> bytes:
    """As a line of an error file; it is about none of the input's."""
    error = {"code": "invalid_drop", "message": refusal}
    return orjson.dumps({"id": None, "custom_id": None, "response": None, "error": error}) + b"\n"
