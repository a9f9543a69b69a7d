"""What ends `penstock serve` from outside: Ctrl-C, SIGTERM, the terminal's end. A second Ctrl-C kills."""

import asyncio
import signal
from collections.abc import Callable, Coroutine

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupts:
    """Takes the signals over, for the running event loop."""

    def __init__(self, kill: Callable[[], None]) -> None:
        self._kill = kill
        self._stop = asyncio.Event()
        self.killed = False
        for number in _SIGNALS:
            asyncio.get_running_loop().add_signal_handler(number, self._take, number)

    @property
    def stopped(self) -> bool:
        """Whether a signal came."""
        return self._stop.is_set()

    async def unless(self, work: Coroutine[None, None, None]) -> None:
        """Do the work until a signal comes; the work is cancelled then."""
        working = asyncio.ensure_future(work)
        stopping = asyncio.ensure_future(self._stop.wait())
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if self.stopped:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
        else:
            working.result()

    def _take(self, number: signal.Signals) -> None:
        if self.stopped and number is signal.SIGINT:
            self.killed = True
            self._kill()
        self._stop.set()
