"""Where each item is: its partition key and sort key. One function for each kind of item.

accounts           ACCOUNT     that the account is there      keys#ACCOUNT   KEY   that the key is its
account#ACCOUNT    -           its settings, what is counted against its limits, its live leases
key#KEY            -           a key
request#REQUEST    -           a request from its claim on; ends by TTL, its money stays in the sums
usage#ACCOUNT      DAY#KEY#MODEL#SHARD   the sums of records
answer#ACCOUNT#HASH  -         an `Idempotency-Key`; ends by TTL
                     ATTEMPT   the body of the answer that this attempt gave; ends by TTL
switch, schema     -           one of each

The book's (see `penstock.batches`):

files#ACCOUNT      FILE        a file; ends by TTL where it has an end
batch#BATCH        -           a batch; ends by TTL some time after it is closed
batches#ACCOUNT    BATCH       that the batch is the account's; ends with it
open               BATCH       that the batch is not closed
shards#BATCH       NUMBER      a shard; goes with its batch's work
"""

import hashlib
import zlib

from penstock.ledger.records import Lease

PARTITION, SORT = "pk", "sk"
ONLY = "-"  # the sort key where a partition has one item

# Settlements of one account, key, model and day are spread over so many items, because two transactions on
# one item at the same time disturb each other. Readers add them up.
SHARDS = 8

ItemKey = dict[str, str]


def _key(partition: str, sort: str = ONLY) -> ItemKey:
    return {PARTITION: partition, SORT: sort}


def account_key(account_id: str) -> ItemKey:
    """The account's item."""
    return _key(f"account#{account_id}")


def key_key(key_id: str) -> ItemKey:
    """The item of an API key."""
    return _key(f"key#{key_id}")


ACCOUNTS = "accounts"


def listed_account(account_id: str) -> ItemKey:
    """The account's entry in the list of accounts."""
    return _key(ACCOUNTS, account_id)


def keys_of(account_id: str) -> str:
    """The partition that lists the account's keys."""
    return f"keys#{account_id}"


def listed_key(account_id: str, key_id: str) -> ItemKey:
    """The key's entry in the list of its account's."""
    return _key(keys_of(account_id), key_id)


REQUEST = "request#"


def request_key(request_id: str) -> ItemKey:
    """The request's record."""
    return _key(f"{REQUEST}{request_id}")


def usage_of(account_id: str) -> str:
    """The partition of the account's sums."""
    return f"usage#{account_id}"


def sum_key(lease: Lease) -> ItemKey:
    """The sum that the lease's record counts in."""
    shard = zlib.crc32(lease.id.encode()) % SHARDS
    return _key(usage_of(lease.account_id), f"{lease.day}#{lease.key_id}#{lease.model}#{shard}")


def answer_key(account_id: str, idempotency_key: str) -> ItemKey:
    """The account's `Idempotency-Key`, hashed: it is the caller's text, of any characters."""
    digest = hashlib.sha256(idempotency_key.encode()).hexdigest()
    return _key(f"answer#{account_id}#{digest}")


def body_key(account_id: str, idempotency_key: str, attempt: str) -> ItemKey:
    """The body of the answer that the attempt gave under an `Idempotency-Key`."""
    return beside(answer_key(account_id, idempotency_key), attempt)


def beside(entry: ItemKey, attempt: str) -> ItemKey:
    """The same, told from the entry."""
    return _key(entry[PARTITION], attempt)


SWITCH = _key("switch")
SCHEMA = _key("schema")


def files_of(account_id: str) -> str:
    """The partition of the account's files."""
    return f"files#{account_id}"


def file_key(account_id: str, file_id: str) -> ItemKey:
    """The file."""
    return _key(files_of(account_id), file_id)


def batch_key(batch_id: str) -> ItemKey:
    """The batch."""
    return _key(f"batch#{batch_id}")


def batches_of(account_id: str) -> str:
    """The partition that lists the account's batches."""
    return f"batches#{account_id}"


def listed_batch(account_id: str, batch_id: str) -> ItemKey:
    """The batch's entry in the list of its account's."""
    return _key(batches_of(account_id), batch_id)


OPEN_BATCHES = "open"


def open_batch(batch_id: str) -> ItemKey:
    """The batch's entry in the list of those that are not closed, of all accounts."""
    return _key(OPEN_BATCHES, batch_id)


def shards_of(batch_id: str) -> str:
    """The partition of the batch's shards."""
    return f"shards#{batch_id}"


def shard_key(batch_id: str, number: int) -> ItemKey:
    """The shard. Sort keys are in the order of numbers, up to a million."""
    return _key(shards_of(batch_id), f"{number:06}")
