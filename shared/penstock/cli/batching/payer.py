"""Whose key pays for a run: one that is named, or the first one of `penstock serve`, which the data directory keeps."""

from penstock.cli.data import DataDirectory
from penstock.cli.failure import Failure
from penstock.cli.serving.first_key import first_key
from penstock.clock import now_ms
from penstock.keys import parse
from penstock.ledger import Key, Ledger


async def payer(ledger: Ledger, data: DataDirectory, key_id: str | None) -> Key:
    """The key, which opens; the first one is made where there is none. Raises Failure."""
    if key_id is None:
        first = await first_key(ledger, data)
        kept = parse(data.kept_key() or "")
        if not first.kept or kept is None:
            raise Failure(f"no key that opens is kept in {data.key_file}: say with --key-id which key is to pay")
        key_id = kept.id
    caller = await ledger.caller(key_id)
    if caller is None or not caller.key.usable(now_ms()):
        raise Failure(f"--key-id {key_id}: no such key, or it opens nothing any more (`penstock keys list`)")
    return caller.key
