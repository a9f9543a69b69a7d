"""What was found, a JSON object a line, at once: a run that is cut off leaves what it had."""

import json
import time
import traceback
from collections.abc import AsyncIterator
from typing import Any

Line = dict[str, Any]


def say(section: str, line: Line) -> None:
    """Print one."""
    print(json.dumps({"section": section, **{key: _rounded(value) for key, value in line.items()}}), flush=True)


async def tell(section: str, lines: AsyncIterator[Line]) -> bool:
    """Print every line of a section, or why it ended early. Whether it went well, with nothing wrong in it."""
    begun, well = time.monotonic(), True
    try:
        async for line in lines:
            well &= line.get("right", True)
            say(section, line)
    except Exception as error:
        well = False
        say(section, {"error": f"{type(error).__name__}: {error}", "at": traceback.format_exc().splitlines()[-8:]})
    say(section, {"seconds": time.monotonic() - begun})
    return well


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return value
