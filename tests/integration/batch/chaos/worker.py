"""A worker process whose stores fail, and which may be killed: `python -m tests.integration.batch.chaos.worker`.

It is functions.gpu.worker_process with the model, and does as CHAOS says (see `orders`). A death is SIGKILL, at any
moment.
"""

import os
import random
import signal
import threading
from itertools import count
from pathlib import Path

from functions.gpu import service, worker, worker_process
from penstock.ledger import Ledger, open_ledger
from penstock.objects import Objects, open_objects
from tests.integration.batch.chaos.orders import Work
from tests.integration.batch.chaos.trouble import Trouble
from tests.integration.batch.chaos.unsteady import unsteady_ledger, unsteady_objects

SHORTEST_LIFE_S = 0.2


def make_unsteady(orders: Work, number: int) -> None:
    """From here on its stores are in trouble; and from when it has a model, it has so long to live."""
    trouble = Trouble(f"{orders.seed}/{number}", orders.rate, {}, orders.starts / "none")

    async def ledger_of(url: str) -> Ledger:
        return unsteady_ledger(await open_ledger(url), trouble)

    async def objects_of(url: str) -> Objects:
        if number < orders.mortal:
            life = random.Random(f"{orders.seed}/{number}").uniform(SHORTEST_LIFE_S, orders.longest_life)
            die_in(life, orders.starts / f"{number}.died")
        return unsteady_objects(await open_objects(url), trouble)

    vars(service).update(open_ledger=ledger_of)
    vars(worker).update(open_objects=objects_of)


def die_in(seconds: float, mark: Path) -> None:
    """Be killed then, whatever is under way."""

    def die() -> None:
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)

    timer = threading.Timer(seconds, die)
    timer.daemon = True
    timer.start()


def number_in(starts: Path) -> int:
    """The number of this process among all that were started, from 0."""
    for number in count():
        try:
            (starts / str(number)).touch(exist_ok=False)
        except FileExistsError:
            continue
        return number
    raise AssertionError


if __name__ == "__main__":
    told = Work.read(os.environ["CHAOS"])
    make_unsteady(told, number_in(told.starts))
    worker_process.main()
