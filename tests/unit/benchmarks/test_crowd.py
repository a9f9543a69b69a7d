"""A crowd asks at least twice a connection, and counts what is no whole answer."""

import asyncio
from collections.abc import Callable

import orjson
from aiohttp import web

from benchmarks.child import Consumption, listen
from benchmarks.edge.crowd import Crowd, Seen, ask
from penstock.schemas.completion import DONE

Answer = Callable[[int], web.Response]


def asked(answer: Answer, connections: int = 3) -> tuple[Seen, list[dict[str, object]]]:
    """What a crowd without time sees of a server that answers so; and the bodies that the server was sent."""
    bodies: list[dict[str, object]] = []

    async def serve(request: web.Request) -> web.Response:
        bodies.append(orjson.loads(await request.read()))
        assert request.headers["Authorization"] == "Bearer key"
        return answer(len(bodies))

    async def run() -> Seen:
        app = web.Application()
        app.add_routes([web.post("/v1/chat/completions", serve)])
        runner = web.AppRunner(app)
        await runner.setup()
        with listen() as listener:
            await web.SockSite(runner, listener).start()
            url = "http://{}:{}".format(*listener.getsockname())
            seen = await ask(Crowd(connections, b'{"model":"stub"}', 0), url, "key", consumption)
            await runner.cleanup()
        return seen

    looks = iter([Consumption(1.0, 5), Consumption(3.0, 7)])

    def consumption() -> Consumption:
        return next(looks)

    return asyncio.run(run()), bodies


def stream(body: bytes) -> web.Response:
    return web.Response(body=body, content_type="text/event-stream")


def test_every_connection_has_two_answers_and_its_first_is_no_latency() -> None:
    seen, bodies = asked(lambda _: web.Response(body=b"{}"))
    assert bodies == [{"model": "stub"}] * 6
    assert (seen.answered, len(seen.latency_ms), seen.failures) == (6, 3, [])
    assert seen.per_second > 0


def test_the_watched_servers_use_is_shared_among_the_answers() -> None:
    seen, _ = asked(lambda _: web.Response(body=b"{}"), connections=2)
    assert seen.cpu_ms == 2_000 / 4
    assert seen.resident == 7


def test_a_refusal_is_a_failure_and_no_answer() -> None:
    seen, _ = asked(lambda number: web.Response(status=503 if number == 1 else 200, body=b"busy"))
    assert seen.failures == ["503 busy"]
    assert seen.answered == 5


def test_where_nothing_was_answered_there_is_no_latency() -> None:
    seen, _ = asked(lambda _: web.Response(status=503))
    assert (seen.answered, len(seen.failures)) == (0, 6)
    assert seen.latency(50) is None
    assert seen.cpu_ms is None


def test_a_stream_needs_its_last_event() -> None:
    seen, _ = asked(lambda number: stream(b"data: {}\n\n" + (DONE if number > 1 else b"")), connections=1)
    assert seen.failures == ["a stream without its last event"]
    assert seen.answered == 1


def test_a_server_that_is_not_there_is_counted() -> None:
    with listen() as listener:
        url = "http://{}:{}".format(*listener.getsockname())
    seen = asyncio.run(ask(Crowd(2, b"{}", 0), url, "key", lambda: None))
    assert len(seen.failures) == 4
    assert "Connect" in seen.failures[0]
    assert seen.resident is None
