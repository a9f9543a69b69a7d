"""A program for the supervisor that serves no port: it says who it is, and stays until its tether ends, or ends."""

import os
import sys


def main(how: str, tether: int) -> int:
    """Say the process id; then stay, or end with 4."""
    os.write(1, f"{os.getpid()}\n".encode())
    if how == "stay":
        while os.read(tether, 1):
            pass
    return 4


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[sys.argv.index("--tether") + 1])))
