"""Grammars are tried in a process of their own before they are compiled here.

llguidance bounds most of what a grammar can cost, but not all: the intersection of two regular expressions or
a large `multipleOf` can take minutes and gigabytes, in a call that nothing ends. Promises that `check` comes
back, whatever the grammar: what takes too much time or memory, or crashes, ends the other process alone.
"""

import json
import os
import select
import subprocess
import sys
import threading
from pathlib import Path

from functions.gpu.engine.protocol import EngineError, InvalidGrammar

PROGRAM = Path(__file__).with_name("trial_process.py")
PATIENCE = 30.0  # seconds for an answer, on a machine that hardly gives the process any time


class Trial:
    """Tries one grammar at a time; several threads may use it. The process starts at the first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._closed = False

    def check(self, source: str) -> str:
        """What llguidance says is wrong with a grammar, or nothing.

        Raises InvalidGrammar where it costs too much, EngineError where no process can be had.
        """
        with self._lock:
            answer = self._ask(source)
        if not answer:
            raise InvalidGrammar("the grammar is too complex: compiling it takes too long, or too much memory")
        return str(json.loads(answer))

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._closed = True
            self._end()

    def _ask(self, source: str) -> bytes:
        """The answer's line; empty if the process ended instead."""
        process = self._running()
        assert process.stdin is not None  # noqa: S101  (both are pipes)
        assert process.stdout is not None  # noqa: S101
        try:
            process.stdin.write(json.dumps(source).encode() + b"\n")
            process.stdin.flush()
            answer = process.stdout.readline() if select.select([process.stdout], [], [], PATIENCE)[0] else b""
        except OSError:
            answer = b""
        if not answer:
            self._end()
        return answer

    def _running(self) -> subprocess.Popen[bytes]:
        if self._closed:
            raise EngineError("the engine is closed")
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it died between two grammars
        if self._process is None:
            self._process = _start()
        return self._process

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()  # closes the pipes, and waits


def _start() -> subprocess.Popen[bytes]:
    """The program, with this process's packages and none of its secrets."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    environment = {**kept, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    try:
        return subprocess.Popen(  # noqa: S603  (our own program)
            [sys.executable, "-P", str(PROGRAM)],  # -P: its neighbours here are not the standard library's
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
    except OSError as error:
        raise EngineError(f"no process to try a grammar in: {error}") from error
