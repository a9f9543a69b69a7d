"""Spans of time as people write them: `90s`, `15m`, `24h`, `30d`."""

import re

import typer

from penstock.clock import MINUTE, SECOND

_UNITS = {"s": SECOND, "m": MINUTE, "h": 60 * MINUTE, "d": 24 * 60 * MINUTE}
_LONGEST = 3_660 * _UNITS["d"]  # ten years: what is longer was mistyped


def duration(text: str) -> int:
    """The span in milliseconds. Raises BadParameter."""
    match = re.fullmatch(r"([0-9]{1,9})([smhd])", text)
    if match is None:
        raise typer.BadParameter(f"{text!r} is not a span of time such as 90s, 15m, 24h or 30d")
    span = int(match[1]) * _UNITS[match[2]]
    if span > _LONGEST:
        raise typer.BadParameter(f"{text!r} is longer than ten years")
    return span
