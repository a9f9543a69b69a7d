"""What befalls the calls that one process makes of its stores: errors, and in the end its death.

A call fails before anything was done, or after all of it was: then only its answer is lost. A death is SIGKILL, before
a call or right after one, so that it falls between any two things that are written. Seeded: the same process does the
same again, as far as what happens beside it lets it.
"""

import os
import random
import signal
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")


class Trouble:
    """One process's. `rate` is the share of calls that fail.

    `lives` says how many calls it lives through in each state that it may be in; in one that is not there, for ever.
    """

    def __init__(self, seed: str, rate: float, lives: Mapping[str, int], deaths: Path) -> None:
        self.state = ""
        self._random = random.Random(seed)
        self._rate = rate
        self._lives = dict(lives)
        self._deaths = deaths

    async def around(self, name: str, call: Callable[[], Awaitable[T]], error: type[Exception]) -> T:
        """What the call gives, if nothing befalls it. Raises the error."""
        self._live(f"before {name}")
        chance = self._random.random()
        if chance < self._rate / 2:
            raise error(f"{name} failed")
        done = await call()
        self._live(f"after {name}")
        if chance < self._rate:
            raise error(f"the answer to {name} was lost")
        return done

    def _live(self, where: str) -> None:
        if self.state not in self._lives:
            return
        self._lives[self.state] -= 1
        if self._lives[self.state] > 0:
            return
        with self._deaths.open("a", encoding="utf-8") as file:
            file.write(f"{self.state} {where}\n")
        os.kill(os.getpid(), signal.SIGKILL)
