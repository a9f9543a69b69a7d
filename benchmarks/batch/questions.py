"""The lines that every way of answering them is given: short chats, whose answers have a length of their own."""

from collections.abc import Sequence
from typing import Any

import orjson

PATH = "/v1/chat/completions"
MODEL = "demo"
_SYSTEMS = [f"You are the keeper of weir {number}. Answer in one sentence." for number in range(8)]


def questions(count: int, tokens: int) -> list[dict[str, Any]]:
    """So many bodies, each to be answered with exactly so many tokens; no two prompts are the same."""
    return [
        {
            "model": MODEL,
            "messages": [
                {"role": "system", "content": _SYSTEMS[number % len(_SYSTEMS)]},
                {"role": "user", "content": f"Gate {number}: how does water get to the turbine?"},
            ],
            "max_tokens": tokens,
            "temperature": 0,
            "ignore_eos": True,
        }
        for number in range(count)
    ]


def as_input(bodies: Sequence[dict[str, Any]]) -> bytes:
    """The same as a batch's file."""
    lines = [
        {"custom_id": f"question-{number}", "method": "POST", "url": PATH, "body": body}
        for number, body in enumerate(bodies)
    ]
    return b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
