"""`python -m infra.packaging.supply PYTHON-ARCHITECTURE...`: fills the wheelhouse for these targets.

Packaging for them then needs no network.
"""

import sys

from infra.packaging.build import WHEELS, lock_of
from infra.packaging.deployable import DEPLOYABLES
from infra.packaging.failure import PackagingFailed
from infra.packaging.lock import read_lock
from infra.packaging.target import Target
from infra.packaging.wheelhouse import gather


def main() -> None:
    """A failure is one line on standard error, and the status 1."""
    try:
        for name in sys.argv[1:]:
            python, _, architecture = name.partition("-")
            target = Target(python, architecture)
            gather(WHEELS, {pin for one in DEPLOYABLES for pin in read_lock(lock_of(one), target)}, target)
    except PackagingFailed as error:
        sys.exit(f"package: {error}")


if __name__ == "__main__":
    main()
