"""The input of a batch under chaos: every kind of request, prompts that begin alike, and some that are refused."""

import random
from typing import Any

import orjson

BEGINNINGS = ("Tell me about ", "In one word: ", "You are a river. Where is ", "List three things near ")
THINGS = ("water", "the turbine", "a valve", "the dam", "steel", "rain", "Monday", "the sea")
TOO_LONG = "gate " * 2_000  # for the context of the demo model


def batch_input(lines: int, seed: str) -> list[dict[str, Any]]:
    """So many lines; their custom ids say nothing of their order."""
    chance = random.Random(seed)
    ids = chance.sample(range(10 * lines), lines)
    return [_line(f"line-{one}", chance) for one in ids]


def written(lines: list[dict[str, Any]]) -> bytes:
    """As a file."""
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)


def _line(custom_id: str, chance: random.Random) -> dict[str, Any]:
    text = chance.choice(BEGINNINGS) + chance.choice(THINGS) + f" {chance.randrange(1_000)}"
    kind = chance.random()
    if kind < 0.01:
        url, body = "/v1/completions", {"model": "demo", "prompt": TOO_LONG, "max_tokens": 4}
    elif kind < 0.2:
        url, body = "/v1/embeddings", {"model": "demo", "input": text}
    elif kind < 0.4:
        url, body = "/v1/completions", {"model": "demo", "prompt": text, "max_tokens": chance.randint(1, 6)}
    else:
        messages = [{"role": "user", "content": text}]
        url, body = "/v1/chat/completions", {"model": "demo", "messages": messages, "max_tokens": chance.randint(1, 6)}
    return {"custom_id": custom_id, "method": "POST", "url": url, "body": body}
