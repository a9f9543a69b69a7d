"""`scripts/package`: builds the zips of all functions on Lambda, and prints what each holds."""

import argparse
import sys
from pathlib import Path

from infra.packaging.build import build
from infra.packaging.bytecode import find_interpreter
from infra.packaging.deployable import DEPLOYABLES
from infra.packaging.failure import PackagingFailed
from infra.packaging.target import ARCHITECTURES, Target


def main() -> None:
    """A failure is one line on standard error, and the status 1."""
    parser = argparse.ArgumentParser(prog="scripts/package", description="Build the zips of the functions on Lambda.")
    parser.add_argument("--python", default="3.13", help="the version that Lambda runs (default: %(default)s)")
    parser.add_argument("--architecture", default="arm64", help=f"{' or '.join(ARCHITECTURES)} (default: %(default)s)")
    parser.add_argument("--output", default="build", type=Path, help="the folder of the zips (default: %(default)s)")
    parser.add_argument("--interpreter", type=Path, help="a Python of that version, where none is found here")
    options = parser.parse_args()
    try:
        target = Target(options.python, options.architecture)
        interpreter = find_interpreter(target.python, options.interpreter)
        for deployable in DEPLOYABLES:
            sys.stdout.write(f"{build(deployable, target, interpreter, options.output).table}\n")
    except PackagingFailed as error:
        sys.exit(f"package: {error}")


if __name__ == "__main__":
    main()
