"""A batch's input of any size, in the folder that stands for object storage, and what validates it there."""

from pathlib import Path

import orjson

from penstock.batches.records import Batch
from penstock.clock import now_ms
from penstock.ledger import Account, Caller, Key
from penstock.objects import open_objects

ENDPOINT = "/v1/chat/completions"
CALLER = Caller(Account("bench", "bench", 0), Key("bench-key", "bench", "bench", "0" * 64, 0))

_SYSTEMS = [f"You are the assistant of department {number}. Answer in one sentence." for number in range(50)]
_FILLING = "the quick brown fox jumps over the lazy dog " * 1_000


def batch() -> Batch:
    """Of which the file is the input."""
    now = now_ms()
    return Batch(
        id="batch_bench",
        account_id="bench",
        key_id="bench-key",
        endpoint=ENDPOINT,
        input_file_id="file-bench",
        input_address="files/bench/file-bench",
        window_s=86_400,
        created_at=now,
        expires_at=now + 86_400_000,
        output_address="files/bench/output",
        error_address="files/bench/errors",
    )


async def write(folder: Path, lines: int, size: int, wrong: frozenset[int] = frozenset()) -> int:
    """Write lines of so many bytes each, or as few more as they need; those of `wrong` are cut off. Its bytes."""
    objects = await open_objects(folder.as_uri())
    written, part = 0, bytearray()
    try:
        async with objects.writer(batch().input_address) as writer:
            for number in range(1, lines + 1):
                line = _line(number, size)
                part += line[: len(line) // 2] + b"\n" if number in wrong else line
                if len(part) > 8 << 20 or number == lines:
                    await writer.write(bytes(part))
                    written += len(part)
                    part.clear()
    finally:
        await objects.close()
    return written


def _line(number: int, size: int) -> bytes:
    bare = _written(number, "")
    return _written(number, _FILLING[: max(size - len(bare), 0)])


def _written(number: int, filling: str) -> bytes:
    messages = [
        {"role": "system", "content": _SYSTEMS[number % len(_SYSTEMS)]},
        {"role": "user", "content": f"{number}: {filling}"},
    ]
    body = {"model": "demo", "messages": messages, "max_tokens": 64}
    line = {"custom_id": f"request-{number}", "method": "POST", "url": ENDPOINT, "body": body}
    return orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
