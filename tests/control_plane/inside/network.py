"""A container's network: a loopback of its own, and the few ports by which it is reached and reaches out.

Each container may so bind the port its definition says, however many there are. All other addresses are
unreachable. Either end of a forwarded connection that closes closes the other.
"""

import asyncio
import fcntl
import socket
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

LOOPBACK = "127.0.0.1"
PIECE = 64 * 1024  # bytes
SIOCSIFFLAGS, IFF_UP = 0x8914, 1  # netdevice(7)

Connected = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Connect = Callable[[], Awaitable[Connected]]


def raise_loopback() -> None:
    """Bring `lo` up, which a new network namespace has down."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))


async def let_out(port: int, gate: str) -> asyncio.Server:
    """Whatever connects to `port` inside goes to the socket `gate` outside."""
    forward = forwarding(lambda: asyncio.open_unix_connection(gate))
    return await asyncio.start_server(forward, LOOPBACK, port)


async def let_in(gate: str, port: int) -> asyncio.Server:
    """Whatever connects to the socket `gate` goes to `port` inside. `gate` is there once the port accepts."""
    while True:
        with suppress(OSError):
            _, writer = await asyncio.open_connection(LOOPBACK, port)
            writer.close()
            break
        await asyncio.sleep(0.02)
    return await asyncio.start_unix_server(forwarding(lambda: asyncio.open_connection(LOOPBACK, port)), gate)


def forwarding(connect: Connect) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """What serves a connection by passing it on to another one, which `connect` makes."""

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            other_reader, other_writer = await connect()
        except OSError:
            writer.transport.abort()
            return
        ways = [asyncio.ensure_future(_pass(reader, other_writer)), asyncio.ensure_future(_pass(other_reader, writer))]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for end in (writer, other_writer):
            end.close()  # what is buffered is still sent

    return forward


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while piece := await reader.read(PIECE):
            writer.write(piece)
            await writer.drain()
