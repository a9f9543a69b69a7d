"""How a batch ended, as a command says it: an exit code, and what was wrong with its input."""

import sys
from collections.abc import Sequence

from penstock.batches.records import MOST_ERRORS
from penstock.schemas.batch import BatchError

NOT_COMPLETED = 1  # it failed, was cancelled or expired
REFUSED = 2  # its input is wrong
WITH_ERRORS = 3  # it was completed, and some lines are errors


def exit_code(status: str, failed: int) -> int:
    """The exit code for a batch with a final status, and with so many lines that are errors."""
    if status != "completed":
        return NOT_COMPLETED
    return WITH_ERRORS if failed else 0


def say_errors(errors: Sequence[BatchError], name: str = "", *, more: bool = False) -> None:
    """What is wrong with the input `name`, as compilers say it: `NAME:LINE: MESSAGE`, on standard error."""
    for error in errors[:MOST_ERRORS]:
        line = "" if error.line is None else str(error.line)
        where = ":".join(part for part in (name, line) if part) if name else f"line {line}" if line else "the input"
        sys.stderr.write(f"{where}: {' '.join(error.message.split())}\n")
    if more or len(errors) > MOST_ERRORS:
        sys.stderr.write(f"... and more: only the first {MOST_ERRORS} are told\n")
