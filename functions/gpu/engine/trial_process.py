"""A program that compiles grammars on trial, one after another (trial.py starts it).

Reads lines of JSON strings, the sources of grammars, and answers each with a line: a JSON string that says
what is wrong with it, empty where nothing is. Each has so much of the processor's time, and the process so
much memory; what needs more ends the process, and so does what crashes it. Runs by its path: it imports
nothing of the project.
"""

import contextlib
import json
import resource
import signal
import sys
from typing import Any

from llguidance import LLMatcher, LLParserLimits, LLTokenizer

CPU_SECONDS = 0.5  # for one grammar
MEMORY_BYTES = 2 << 30  # of address space
STEPS = 32  # of an answer, which find what only fails on the way
# The same here and where the grammar is used. Masks of an ambiguous grammar cost the square of a row's items
# (a thousand: some 200 ms); a lexer's state takes some 2 kB. The others are llguidance's own defaults.
LIMITS = LLParserLimits(max_items_in_row=1000, max_lexer_states=50_000, verbose_errors=False)


def main() -> None:
    """Serve until the input ends."""
    with contextlib.suppress(ValueError, OSError):  # not every system has this limit
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    tokenizer = LLTokenizer("byte")
    for line in sys.stdin:
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)  # its signal ends the process
        fault = find_fault(tokenizer, json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sys.stdout.write(json.dumps(fault) + "\n")
        sys.stdout.flush()


def find_fault(tokenizer: Any, source: str) -> str:
    """What is wrong with a grammar, in llguidance's words; empty if nothing is.

    Compiles it, and writes the beginning of an answer with the lowest bytes that may come.
    """
    matcher = LLMatcher(tokenizer, source, log_level=0, limits=LIMITS)
    for _ in range(STEPS):
        if matcher.is_error() or matcher.is_stopped():
            break
        mask = int.from_bytes(matcher.compute_bitmask(), "little")
        matcher.consume_token((mask & -mask).bit_length() - 1)
    return str(matcher.get_error()) if matcher.is_error() else ""


if __name__ == "__main__":
    main()
