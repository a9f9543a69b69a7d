"""Runs a server which ends, with all that it started, when the process that started it does: of whatever.

`python -P tests/servers/tethered.py --tether FD --listen FD COMMAND...`

The tether is the reading end of a pipe whose other end the tests alone hold: when they die, of SIGKILL too, the
kernel closes it, and this whole process group is killed. It has to be the leader of a group of its own. The
server inherits the listening socket. Where the server ends by itself, this ends with its exit status.
"""

import argparse
import os
import signal
import subprocess
import threading


def main() -> None:
    """Run the command until the tether is cut."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--tether", type=int, required=True)
    parser.add_argument("--listen", type=int, required=True)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args()
    server = subprocess.Popen(options.command, pass_fds=[options.listen])
    threading.Thread(target=_end_with, args=(server,), daemon=True).start()
    while os.read(options.tether, 1):
        pass  # nobody writes; what ends the reading is the end of the tests
    os.killpg(0, signal.SIGKILL)  # what is in the servers' memory is the tests' alone


def _end_with(server: subprocess.Popen[bytes]) -> None:
    os._exit(abs(server.wait()))


if __name__ == "__main__":
    main()
