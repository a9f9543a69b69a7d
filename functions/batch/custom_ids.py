"""Which custom ids a file has had so far, of millions of them, in little memory.

Kept of each is a hash of 64 bits under a key of this process's own, in a table with open addressing: 16 to 32 bytes for
an id. Two ids of one hash would be taken for one: of 2 million ids that happens to one file in 9 million, of 4 million
to one in 2 million, and not to the same file again, whose next hashes are others.
"""

import secrets
from array import array
from hashlib import blake2b

_FIRST_SIZE = 1 << 12  # places; a power of two, as all sizes are


class CustomIds:
    """A set of ids that only grows."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(16)
        self._table = _places(_FIRST_SIZE)
        self._count = 0

    def add(self, custom_id: bytes) -> bool:
        """Whether it is new."""
        number = int.from_bytes(blake2b(custom_id, key=self._key, digest_size=8).digest()) or 1  # 0: a free place
        place = _place_of(number, self._table)
        if self._table[place]:
            return False
        self._table[place] = number
        self._count += 1
        if 2 * self._count > len(self._table):
            self._grow()
        return True

    def _grow(self) -> None:
        table = _places(2 * len(self._table))
        for number in self._table:
            if number:
                table[_place_of(number, table)] = number
        self._table = table


def _places(size: int) -> "array[int]":
    return array("Q", bytes(8 * size))


def _place_of(number: int, table: "array[int]") -> int:
    """Where it stands, or the free place where it is to stand: the first from its own on."""
    last = len(table) - 1
    place = number & last
    while table[place] and table[place] != number:
        place = (place + 1) & last
    return place
