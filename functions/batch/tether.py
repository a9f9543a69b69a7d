"""The end of this process with its parent's: a pipe whose other end the parent alone holds.

When the parent dies, of whatever, the kernel closes it, and this process ends as if it was asked to (SIGTERM); one that
does not is killed.
"""

import os
import signal
import threading
import time

ENDS_WITHIN_S = 30.0


def end_with(tether: int) -> None:
    """End this process when the pipe whose reading end `tether` is has no writer any more."""
    threading.Thread(target=_watch, args=(tether,), daemon=True).start()


def _watch(tether: int) -> None:
    while os.read(tether, 1):
        pass  # nobody writes; what ends the reading is the parent's end
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(ENDS_WITHIN_S)
    os.kill(os.getpid(), signal.SIGKILL)
