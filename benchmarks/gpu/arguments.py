"""What both parts are started with: DEVICE PLAN SECONDS."""

import argparse
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass

from benchmarks.gpu.lines import Line
from benchmarks.gpu.plan import FULL, QUICK, Plan


@dataclass(frozen=True, slots=True)
class Arguments:
    """Where to run, what, and how long each section may take."""

    device: str
    plan: Plan
    seconds: float

    async def bounded(self, lines: AsyncIterator[Line]) -> AsyncIterator[Line]:
        """The lines of a section until its time is over: then one that says so, and no more."""
        until = time.monotonic() + self.seconds
        async for line in lines:
            yield line
            if time.monotonic() > until:
                yield {"cut_after_s": self.seconds}
                return


def read_arguments() -> Arguments:
    """From the command line."""
    plans = {"full": FULL, "quick": QUICK}
    parser = argparse.ArgumentParser()
    parser.add_argument("device", choices=("cuda", "cpu"))
    parser.add_argument("plan", choices=sorted(plans))
    parser.add_argument("seconds", type=float)
    options = parser.parse_args()
    return Arguments(options.device, plans[options.plan], options.seconds)
