"""A worker process without a model: the number of an order's shard says what becomes of it. Run by its path."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def main() -> None:
    """Take orders until there are no more; with an argument, stay beyond that."""
    say({"ready": True})
    for line in sys.stdin:
        said = json.loads(line)
        ORDERS[said["order"]["shard"]](said["id"])
    if len(sys.argv) > 1:
        time.sleep(600)


def say(said: Any) -> None:
    """A line of JSON."""
    write(json.dumps(said))


def write(text: str) -> None:
    """A line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _answer_among_other_things(call: str) -> None:
    write("not JSON")
    say([1])
    say({"id": "another's", "outcome": {}})
    say({"id": call, "outcome": {}})


def _cannot_load(_call: str) -> None:
    os.close(1)  # some time passes between the end of what it says and its own
    time.sleep(0.5)
    os._exit(3)


ORDERS: dict[int, Callable[[str], None]] = {
    0: lambda call: say({"id": call, "outcome": {}}),
    1: lambda call: say({"id": call, "error": {"message": "no", "code": "no"}}),
    2: lambda call: None,
    3: lambda call: sys.exit(1),
    4: _answer_among_other_things,
    5: _cannot_load,
    6: lambda call: write("x" * (2 << 20)),
}

if __name__ == "__main__":
    main()
