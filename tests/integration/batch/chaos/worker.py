"""A worker process whose stores fail, and which may be killed: `python -m tests.integration.batch.chaos.worker`.

It is functions.gpu.worker_process with the model, and does as CHAOS says (see `orders`).
"""

import os
import random
from itertools import count
from pathlib import Path

from functions.gpu import service, worker, worker_process
from penstock.ledger import Ledger, open_ledger
from penstock.objects import Objects, open_objects
from tests.integration.batch.chaos.orders import Work
from tests.integration.batch.chaos.trouble import Trouble
from tests.integration.batch.chaos.unsteady import unsteady_ledger, unsteady_objects

WORKING = "working"


def make_unsteady(orders: Work, number: int) -> None:
    """From here on its stores are in trouble; and once it has a model, it has so many calls to live."""
    name = f"{orders.seed}/{number}"
    life = random.Random(name).randint(2, orders.longest_life)
    lives = {WORKING: life} if number < orders.mortal else {}
    trouble = Trouble(name, orders.rate, lives, orders.deaths)

    async def ledger_of(url: str) -> Ledger:
        return unsteady_ledger(await open_ledger(url), trouble)

    async def objects_of(url: str) -> Objects:
        trouble.state = WORKING
        return unsteady_objects(await open_objects(url), trouble)

    vars(service).update(open_ledger=ledger_of)
    vars(worker).update(open_objects=objects_of)


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
