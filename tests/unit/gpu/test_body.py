"""A body: read whole, or refused within its bounds."""

import asyncio

import pytest
from starlette.types import Message, Scope

from functions.gpu import body as body_module
from functions.gpu.body import BodyTooSlow, read_body
from functions.gpu.presence import ClientGone
from penstock.errors import BodyTooLarge

pytestmark = pytest.mark.anyio


def scope_of(length: str | None = None) -> Scope:
    return {"type": "http", "headers": [] if length is None else [(b"content-length", length.encode())]}


class Arriving:
    """A body that arrives in parts; after them, nothing ever does."""

    def __init__(self, *parts: bytes, ends: bool = True, leaves: bool = False) -> None:
        self.messages: list[Message] = [{"type": "http.request", "body": part, "more_body": True} for part in parts]
        if leaves:
            self.messages.append({"type": "http.disconnect"})
        elif ends:
            self.messages.append({"type": "http.request"})
        self.read = 0

    async def receive(self) -> Message:
        self.read += 1
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)


@pytest.mark.parametrize("length", [None, "6", "not a number"])
async def test_parts_are_joined(length: str | None) -> None:
    assert await read_body(scope_of(length), Arriving(b"abc", b"", b"def").receive, 6) == b"abcdef"


async def test_a_declared_length_over_the_limit_is_refused_unread() -> None:
    arriving = Arriving(b"abc")
    with pytest.raises(BodyTooLarge, match="6 bytes"):
        await read_body(scope_of("7"), arriving.receive, 6)
    assert arriving.read == 0


async def test_a_body_is_read_no_further_than_the_limit() -> None:
    arriving = Arriving(*[b"abc"] * 100)
    with pytest.raises(BodyTooLarge):
        await read_body(scope_of(), arriving.receive, 6)
    assert arriving.read == 3


async def test_a_body_that_stops_coming_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body_module, "BODY_WITHIN_S", 0.01)
    with pytest.raises(BodyTooSlow) as refusal:
        await read_body(scope_of(), Arriving(b"abc", ends=False).receive, 6)
    assert refusal.value.status == 408


async def test_a_client_that_leaves_is_gone() -> None:
    with pytest.raises(ClientGone):
        await read_body(scope_of(), Arriving(b"abc", leaves=True).receive, 6)
