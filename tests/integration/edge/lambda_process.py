"""What Lambda does with `functions.edge.handler`, in a process of its own: import once, invoke again and again.

Reads events from standard input and writes answers to standard output, one JSON value a line; the
function's own output goes to standard error. An answer is {"response": ..., "kept": ...}, where `kept`
tells the resources that live on between invocations. The first line says what the import has loaded.
With LEDGER_CRASHES set, every use of the ledger raises an error of that text, which nothing foresees; with
TIMEOUT_S, invocations may take so long, as their context tells the handler.
Run as a program by test_handler.py.
"""

import json
import os
import sys
import time
from types import SimpleNamespace
from typing import Any

HEAVY = ("torch", "transformers", "modal", "sqlalchemy", "uvicorn", "typer", "openai", "boto3", "fsspec", "s3fs")


def main() -> None:
    """Serve the invocations of one container."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    sys.stdout = sys.stderr
    from functions.edge.handler import handler

    def answer(value: Any) -> None:
        answers.write(json.dumps(value) + "\n")

    answer(sorted(name for name in HEAVY if name in sys.modules))
    edge = handler.app.state.edge  # type: ignore[attr-defined]
    if reason := os.environ.get("LEDGER_CRASHES"):
        edge.ledger = lambda: _crash(reason)
    for line in sys.stdin:
        response = handler(json.loads(line), _context(float(os.environ.get("TIMEOUT_S", "60"))))
        answer({"response": response, "kept": [id(edge._ledger), id(edge._http)]})
    sys.stderr.flush()
    os._exit(0)  # as Lambda ends a container: without any clean-up


def _context(timeout_s: float) -> Any:
    end = time.monotonic() + timeout_s
    return SimpleNamespace(
        aws_request_id="c6af9ac6-7b61-11e6-9a41-93e8deadbeef",
        function_name="edge",
        get_remaining_time_in_millis=lambda: max(int((end - time.monotonic()) * 1_000), 0),
    )


async def _crash(reason: str) -> None:
    raise RuntimeError(reason)


if __name__ == "__main__":
    main()
