"""Compiles sources: a line of standard input is a source's path, a tabulator and the path of its bytecode.

Runs under the Python that it compiles for, in the folder of the sources: it uses the standard library alone, and
imports nothing of this package. Paths in the bytecode are those on Lambda.
"""

import py_compile
import sys

_ROOT = "/var/task"
_UNCHECKED = py_compile.PycInvalidationMode.UNCHECKED_HASH


def main() -> None:
    """One after the other and in one process, so that the bytecode of each is always the same."""
    for line in sys.stdin.read().splitlines():
        source, bytecode = line.split("\t")
        try:
            py_compile.compile(source, bytecode, f"{_ROOT}/{source}", doraise=True, invalidation_mode=_UNCHECKED)
        except py_compile.PyCompileError as error:
            sys.exit(f"{source}: {error.exc_type_name}")


if __name__ == "__main__":
    main()
