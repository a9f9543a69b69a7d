"""A process that makes objects, for tests of several at once and of one that dies.

`python -m tests.contract.objects.maker new URL KEY CONTENT COUNT` makes COUNT objects KEY0, KEY1, … that must be new,
and prints the numbers of those that it made. `… writer URL KEY` writes an object bit by bit without end, and prints
a line for each.
"""

import asyncio
import sys

from penstock.objects import Exists, open_objects

BIT = bytes(1 << 20)


async def make_new(url: str, key: str, content: str, count: str) -> None:
    """As above. All are asked for at once."""
    objects = await open_objects(url)

    async def make(number: int) -> None:
        try:
            await objects.put_new(f"{key}{number}", content.encode())
        except Exists:
            return
        print(number, flush=True)  # noqa: T201

    print("ready", flush=True)  # noqa: T201
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.gather(*(make(number) for number in range(int(count))))
    await objects.close()


async def write(url: str, key: str) -> None:
    """As above."""
    objects = await open_objects(url)
    async with objects.writer(key) as writer:
        while True:
            await writer.write(BIT)
            print("written", flush=True)  # noqa: T201
            await asyncio.sleep(0.01)


if __name__ == "__main__":
    _, what, *arguments = sys.argv
    asyncio.run(make_new(*arguments) if what == "new" else write(*arguments))
