"""The page pool against a plain model: every page in one state, the longest unused taken first, nothing lost."""

from collections import Counter
from itertools import chain

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from functions.gpu.engine.pages import PagePool

KEYS = [bytes([number]) for number in range(6)]
MOST = 7  # pages


class Pools(RuleBasedStateMachine):
    """Holders take, find, share and give back pages; a plain account of the pages is kept beside the pool."""

    @initialize(count=st.integers(1, MOST))
    def begin(self, count: int) -> None:
        self.pool = PagePool(count)
        self.holders: list[list[int]] = []
        self.free = set(range(count))
        self.idle: list[int] = []  # the longest unused first
        self.key_of: dict[int, bytes] = {}

    @rule(count=st.integers(0, MOST + 1))
    def take(self, count: int) -> None:
        pages = self.pool.take(count)
        if count > len(self.free) + len(self.idle):
            assert pages is None
            return
        assert pages is not None
        assert len(set(pages)) == len(pages) == count
        from_free = min(count, len(self.free))
        assert set(pages[:from_free]) <= self.free
        assert pages[from_free:] == self.idle[: count - from_free]
        self.free -= set(pages)
        for page in pages[from_free:]:
            self.idle.remove(page)
            del self.key_of[page]
        self.holders.append(pages)

    @rule(keys=st.lists(st.sampled_from(KEYS), max_size=4))
    def find(self, keys: list[bytes]) -> None:
        page_of = {key: page for page, key in self.key_of.items()}
        expected = []
        for key in keys:
            if key not in page_of:
                break
            expected.append(page_of[key])
        assert self.pool.find(keys) == expected
        self.idle = [page for page in self.idle if page not in expected]
        self.holders.append(expected)

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def share(self, data: st.DataObject) -> None:
        pages = data.draw(st.sampled_from(self.holders))
        self.pool.share(pages)
        self.holders.append(pages.copy())

    @precondition(lambda self: self.holders)
    @rule(data=st.data())
    def give_back(self, data: st.DataObject) -> None:
        pages = self.holders.pop(data.draw(st.integers(0, len(self.holders) - 1)))
        self.pool.give_back(pages)
        held = set(chain(*self.holders))
        for page in dict.fromkeys(reversed(pages)):
            if page in held:
                continue
            if page in self.key_of:
                self.idle.append(page)
            else:
                self.free.add(page)

    @precondition(lambda self: any(self.holders))
    @rule(data=st.data(), key=st.sampled_from(KEYS))
    def publish(self, data: st.DataObject, key: bytes) -> None:
        page = data.draw(st.sampled_from(sorted(set(chain(*self.holders)))))
        self.pool.publish(page, key)
        if key not in self.key_of.values():
            self.key_of.setdefault(page, key)

    @rule(pages=st.sets(st.integers(0, MOST - 1)))
    def forget(self, pages: set[int]) -> None:
        pages = {page for page in pages if page < self.pool.count}
        self.pool.forget(pages)
        for page in pages:
            self.key_of.pop(page, None)
        self.free |= set(self.idle) & pages
        self.idle = [page for page in self.idle if page not in pages]

    @invariant()
    def every_page_is_in_one_state(self) -> None:
        held = set(chain(*self.holders))
        states = Counter([*held, *self.idle, *self.free])
        assert states == Counter(range(self.pool.count))
        assert (self.pool.used, self.pool.idle) == (len(held), len(self.idle))
        assert self.pool.available == len(self.idle) + len(self.free)

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        for pages in self.holders:
            self.pool.give_back(pages)
        assert self.pool.used == 0
        assert sorted(self.pool.take(self.pool.count) or []) == list(range(self.pool.count))
        assert self.pool.find(KEYS[:1]) == []


TestPools = Pools.TestCase
TestPools.settings = settings(max_examples=60, stateful_step_count=40)


def test_too_many_pages_are_not_taken_in_part() -> None:
    pool = PagePool(3)
    assert pool.take(2) is not None
    assert pool.take(2) is None
    assert pool.available == 1


def test_the_end_of_a_prefix_is_forgotten_before_its_beginning() -> None:
    pool = PagePool(3)
    pages = pool.take(3) or []
    for page, key in zip(pages, KEYS, strict=False):
        pool.publish(page, key)
    pool.give_back(pages)
    assert pool.take(1) == pages[2:]
    assert pool.find(KEYS[:3]) == pages[:2]


def test_of_two_pages_with_one_content_the_first_is_found() -> None:
    pool = PagePool(2)
    first, second = pool.take(2) or []
    pool.publish(first, KEYS[0])
    pool.publish(second, KEYS[0])
    pool.give_back([second])
    assert pool.idle == 0  # nobody can find it, so it is free
    assert pool.find(KEYS[:1]) == [first]
