"""Files of requests, and what came of them."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import orjson

CHAT, COMPLETIONS, EMBEDDINGS = "/v1/chat/completions", "/v1/completions", "/v1/embeddings"
TOO_LONG = "word " * 2_000  # tokens that no context of the demo model holds: an error, once it is run

Line = dict[str, Any]


def line(number: int, url: str = CHAT, **body: Any) -> Line:
    """One request."""
    if url == CHAT:
        messages = [{"role": "user", "content": f"What is {number} plus 2?"}]
        body = {"messages": messages, "max_tokens": 12, "temperature": 0, **body}
    return {"custom_id": f"r{number}", "method": "POST", "url": url, "body": {"model": "demo", **body}}


def sums(count: int, **body: Any) -> list[Line]:
    """So many small questions."""
    return [line(number, **body) for number in range(count)]


def write(path: Path, lines: Iterable[Line | bytes]) -> Path:
    """The file with these lines."""
    path.write_bytes(b"\n".join(each if isinstance(each, bytes) else orjson.dumps(each) for each in lines) + b"\n")
    return path


def read(path: Path) -> list[Line]:
    """The lines of a file."""
    return [orjson.loads(each) for each in path.read_bytes().splitlines()]


def ids(lines: Sequence[Line]) -> list[str]:
    """Whose answers they are."""
    return [each["custom_id"] for each in lines]


def used(lines: Sequence[Line]) -> tuple[int, int]:
    """The tokens that their answers say they used: of prompts, and new ones."""
    usages = [each["response"]["body"]["usage"] for each in lines]
    return sum(each["prompt_tokens"] for each in usages), sum(each.get("completion_tokens", 0) for each in usages)
