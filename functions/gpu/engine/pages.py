"""The pages of the key-value pool: who holds which, and which hold a prefix that may be found again.

Promises that every page is in exactly one state: free, held (by as many as share it), or idle: held by
nobody, with a known prefix, and taken when no free page is left, the longest unused first. A page's content
is known by a key that stands for all tokens up to its end (see `prefix.py`). Knows numbers, not tensors.
"""

from collections import OrderedDict
from collections.abc import Iterable, Sequence


class PagePool:
    """Bookkeeping of `count` pages."""

    def __init__(self, count: int) -> None:
        self.count = count
        self._free = list(range(count - 1, -1, -1))  # a stack: what was used last is warm
        self._holders = [0] * count
        self._idle: OrderedDict[int, None] = OrderedDict()
        self._page_of: dict[bytes, int] = {}
        self._key_of: dict[int, bytes] = {}

    @property
    def available(self) -> int:
        """Pages that can be taken."""
        return len(self._free) + len(self._idle)

    @property
    def idle(self) -> int:
        """Pages that only the prefix cache holds."""
        return len(self._idle)

    @property
    def used(self) -> int:
        """Pages that somebody holds."""
        return self.count - self.available

    def take(self, count: int) -> list[int] | None:
        """So many pages, each held once; None, and nothing taken, where there are not enough."""
        if count > self.available:
            return None
        return [self._one() for _ in range(count)]

    def share(self, pages: Iterable[int]) -> None:
        """Hold pages once more that are held already."""
        for page in pages:
            self._holders[page] += 1

    def give_back(self, pages: Sequence[int]) -> None:
        """Let go of pages of one sequence, in its order: the end of a prefix is forgotten before its beginning."""
        for page in reversed(pages):
            self._holders[page] -= 1
            if self._holders[page] == 0:
                if page in self._key_of:
                    self._idle[page] = None
                else:
                    self._free.append(page)

    def publish(self, page: int, key: bytes) -> None:
        """Say what a held page contains. Of two pages with the same content the first is found."""
        if key not in self._page_of and page not in self._key_of:
            self._page_of[key] = page
            self._key_of[page] = key

    def find(self, keys: Iterable[bytes]) -> list[int]:
        """The pages with these keys, up to the first that there is none of; each is held once more."""
        found = []
        for key in keys:
            page = self._page_of.get(key)
            if page is None:
                break
            self._holders[page] += 1
            self._idle.pop(page, None)
            found.append(page)
        return found

    def forget(self, pages: Iterable[int]) -> None:
        """Let nobody find these pages again: what they hold is spoilt."""
        for page in pages:
            self._unpublish(page)
            if page in self._idle:
                del self._idle[page]
                self._free.append(page)

    def _one(self) -> int:
        if self._free:
            page = self._free.pop()
        else:
            page, _ = self._idle.popitem(last=False)
            self._unpublish(page)
        self._holders[page] = 1
        return page

    def _unpublish(self, page: int) -> None:
        key = self._key_of.pop(page, None)
        if key is not None:
            del self._page_of[key]
