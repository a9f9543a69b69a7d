"""How a batch ended: exit codes, and errors by line."""

import pytest

from penstock.cli.batch_end import exit_code, say_errors
from penstock.schemas.batch import BatchError


@pytest.mark.parametrize(
    ("status", "failed", "code"),
    [("completed", 0, 0), ("completed", 1, 3), ("failed", 0, 1), ("cancelled", 0, 1), ("expired", 2, 1)],
)
def test_exit_codes(status: str, failed: int, code: int) -> None:
    assert exit_code(status, failed) == code


def error(line: int | None, message: str) -> BatchError:
    return BatchError(code="x", line=line, message=message, param=None)


def test_errors_are_told_as_compilers_tell_them(capsys: pytest.CaptureFixture[str]) -> None:
    say_errors([error(3, "No\nway."), error(None, "Empty.")], "in.jsonl")
    assert capsys.readouterr().err == "in.jsonl:3: No way.\nin.jsonl: Empty.\n"
    say_errors([error(3, "No."), error(None, "Empty.")])
    assert capsys.readouterr().err == "line 3: No.\nthe input: Empty.\n"


def test_a_hundred_at_most(capsys: pytest.CaptureFixture[str]) -> None:
    say_errors([error(line, "No.") for line in range(1, 102)], "in.jsonl")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 101
    assert lines[-1] == "... and more: only the first 100 are told"
    say_errors([error(1, "No.")], "in.jsonl", more=True)
    assert capsys.readouterr().err.splitlines()[-1].startswith("... and more")
