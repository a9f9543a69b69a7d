"""Objects in memory, whose calls fail as a test says: before they take effect, or after."""

from collections.abc import AsyncIterator, Callable
from typing import cast

from penstock.objects import Exists, Missing, Object, Objects, ObjectsUnavailable

Fate = str  # "well", "before", "after"


class Memory:
    """What a log needs of a store. `fate` says what happens to the next write."""

    def __init__(self, fate: Callable[[], Fate] = lambda: "well") -> None:
        self.content: dict[str, bytes] = {}
        self._fate = fate

    def as_objects(self) -> Objects:
        """The same, under the protocol's name."""
        return cast("Objects", self)

    async def put_new(self, key: str, data: bytes) -> None:
        fate = self._fate()
        if fate == "before":
            raise ObjectsUnavailable(fate)
        if self.content.setdefault(key, data) != data:
            raise Exists(key)
        if fate == "after":
            raise ObjectsUnavailable(fate)

    async def get(self, key: str) -> bytes:
        if key not in self.content:
            raise Missing(key)
        return self.content[key]

    async def size(self, key: str) -> int | None:
        return len(self.content[key]) if key in self.content else None

    async def list(self, prefix: str) -> AsyncIterator[Object]:
        for key in sorted(key for key in self.content if key.startswith(prefix)):
            yield Object(key, len(self.content[key]))
