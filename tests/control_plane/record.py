"""What the control plane was asked, and what of it went wrong: a test must see the latter."""

from collections import Counter

MAX_PROBLEMS = 100


class Record:
    """Counts the RPCs by name and keeps the problems, the first hundred; both are also printed to the log."""

    def __init__(self) -> None:
        self.rpcs: Counter[str] = Counter()
        self.problems: list[str] = []

    def problem(self, text: str) -> None:
        """Note that something is not as the real service would have it."""
        self.log(f"PROBLEM: {text}")
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(text)

    def log(self, text: str) -> None:
        """Write a line to the log."""
        print(text, flush=True)  # noqa: T201 -- the process's standard output is its log
