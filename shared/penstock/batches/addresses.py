"""Where everything of a batch is kept: the keys of its objects.

    incoming/[KEY_ID/]NAME.jsonl         what was dropped; each becomes a batch
    results/[KEY_ID/]NAME.*.jsonl        and what came of it
    files/ACCOUNT_ID/FILE_ID             uploads, and what batches made through the API came to
    work/BATCH_ID/...                    of a batch under way

An object whose key ends in EVENT says that something has happened to its batch; the storage tells the batch functions
of each. No key of results, files or other work does, so that nothing that is written triggers itself.
"""

import re

INCOMING = "incoming/"
RESULTS = "results/"
WORK = "work/"
EVENT = ".event"

_BATCH_OF_EVENT = re.compile(r"work/(batch_[0-9A-Za-z]{1,64})/(?:[0-9A-Za-z_-]+/)*[0-9A-Za-z_-]+\.event")


def file_content(account_id: str, file_id: str) -> str:
    """A file's content."""
    return f"files/{account_id}/{file_id}"


def work(batch_id: str) -> str:
    """What all objects of the batch under way begin with."""
    return f"{WORK}{batch_id}/"


def poke(batch_id: str) -> str:
    """Written where the batch needs looking at: it was made, or cancelled."""
    return f"{work(batch_id)}poke{EVENT}"


def stop(batch_id: str) -> str:
    """There, where no new line of the batch is to be begun."""
    return f"{work(batch_id)}stop.json"


def shard_input(batch_id: str, shard: int) -> str:
    """The lines of a shard."""
    return f"{work(batch_id)}shards/{shard:06}.jsonl"


def shard_log(batch_id: str, shard: int) -> str:
    """What all entries of the shard's log begin with."""
    return f"{work(batch_id)}logs/{shard:06}/"


def log_entry(batch_id: str, shard: int, number: int) -> str:
    """An entry of the shard's log, from 0."""
    return f"{shard_log(batch_id, shard)}{number:06}.json"


def done(batch_id: str) -> str:
    """What the marks of all finished shards begin with."""
    return f"{work(batch_id)}done/"


def shard_done(batch_id: str, shard: int) -> str:
    """The mark that a shard is finished, with what it came to."""
    return f"{done(batch_id)}{shard:06}{EVENT}"


def shard_of_mark(key: str) -> int:
    """The shard whose mark it is."""
    return int(key.rsplit("/", 1)[-1].removesuffix(EVENT))


def batch_of_event(key: str) -> str | None:
    """The batch that an event's object is about; None where it is no such object."""
    found = _BATCH_OF_EVENT.fullmatch(key)
    return found and found[1]
