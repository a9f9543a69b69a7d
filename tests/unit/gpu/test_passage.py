"""A request through an app in its own process: what it gets, what it is told, and how it ends."""

import asyncio

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from functions.gpu.passage import MOST_PARTS, BrokeOff, Passage

pytestmark = pytest.mark.anyio


def answering(*parts: bytes, status: int = 200) -> ASGIApp:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": [(b"X-One", b"1")]})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    return app


async def test_the_app_sees_a_post_with_its_body_and_length() -> None:
    seen: dict[str, object] = {}

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.update(scope, message=await receive())
        await answering()(scope, receive, send)

    async with Passage(app, "/v1/x", {"Penstock-Ticket": "t"}, b"body") as passage:
        await passage.begun()
    assert (seen["method"], seen["path"], seen["query_string"]) == ("POST", "/v1/x", b"")
    assert seen["headers"] == [(b"penstock-ticket", b"t"), (b"content-length", b"4")]
    assert seen["message"] == {"type": "http.request", "body": b"body", "more_body": False}


async def test_status_headers_and_all_parts_come_and_then_the_end_again_and_again() -> None:
    async with Passage(answering(b"a", b"b", status=418), "/", {}, b"") as passage:
        await passage.begun()
        assert (passage.status, passage.headers) == (418, {"x-one": "1"})
        await passage.rest(10)
        assert await passage.read() == b"ab"
        assert await passage.read() is None
        assert await passage.read() is None


async def test_who_waits_for_a_part_is_told_of_an_end_without_one() -> None:
    held = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await held.wait()
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async with asyncio.timeout(10), Passage(app, "/", {}, b"") as passage:
        reading = asyncio.create_task(passage.read())
        await asyncio.sleep(0)
        held.set()
        assert await reading is None


async def test_an_app_that_ends_in_the_middle_breaks_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})

    async with Passage(app, "/", {}, b"") as passage:
        await passage.rest(10)
        assert await passage.read() == b"half"
        with pytest.raises(BrokeOff):
            await passage.read()


async def test_an_app_that_never_begins_breaks_off() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        return

    async with Passage(app, "/", {}, b"") as passage:
        with pytest.raises(BrokeOff):
            await passage.begun()


async def test_leaving_disconnects_and_waits_for_what_the_app_does_about_it() -> None:
    done: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        done.append((await receive())["type"])
        await asyncio.sleep(0.01)
        done.append("settled")

    async with Passage(app, "/", {}, b""):
        await asyncio.sleep(0)
    assert done == ["http.disconnect", "settled"]


async def test_a_reader_that_does_not_read_holds_the_app_up_and_leaving_ends_it() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent

        async def flood() -> None:
            nonlocal sent
            await send({"type": "http.response.start", "status": 200, "headers": []})
            while True:
                await send({"type": "http.response.body", "body": b"x", "more_body": True})
                sent += 1

        await receive()
        flooding = asyncio.create_task(flood())
        await receive()
        flooding.cancel()

    async with asyncio.timeout(10), Passage(app, "/", {}, b"") as passage:
        await passage.rest(0.05)
        assert sent == MOST_PARTS


async def test_a_whole_body_is_bounded() -> None:
    async with Passage(answering(b"123", b"456"), "/", {}, b"") as passage:
        assert await passage.body(6) == b"123456"
    async with Passage(answering(b"123", b"456"), "/", {}, b"") as passage:
        with pytest.raises(ValueError, match="over 5 bytes"):
            await passage.body(5)
