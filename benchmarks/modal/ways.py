"""The ways to the model: HTTP to its own process, HTTP to its Gate, the SDK without HTTP, and Modal's client alone.

Each gives an answer as items: what came at once, of one read of a socket or of one item of Modal's. The first
item of each has nothing, and says that the request was admitted. Many accounts pay, each in its turn: a few may not
fill the queue of a model.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple, Protocol

import aiohttp
import orjson

from benchmarks.failure import BenchmarkFailed
from benchmarks.modal.admission import Admission
from benchmarks.modal.servers import Server
from penstock.client import AsyncPenstock
from penstock.client.sse import SseDecoder

PROCESS, GATE, SDK, RAW = "HTTP, its own process", "HTTP, a Gate", "direct, the SDK", "direct, modal.Cls"
OURS = "Penstock-Gpu"  # on whatever the GPU process answers: a proxy's 503 has it not
ASK_AGAIN_S = 0.05  # while no container is ready; the edge's own pauses are longer


class Item(NamedTuple):
    """`tokens` are those of the whole answer, where this says how many; else 0."""

    text: bool
    tokens: int


ADMITTED = Item(text=False, tokens=0)


class Way(Protocol):
    """A way to ask."""

    name: str
    admits_itself: bool  # in its container: then the first item has been there
    gives_items: bool  # as they came; else a chunk is one

    @property
    def server(self) -> Server:
        """What it leads to."""

    def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        """The items of an answer. Raises BenchmarkFailed where it is refused."""


class Http:
    """With a ticket, over HTTP. `headers` are for a proxy in between; while that itself says 503, it is asked again."""

    admits_itself = False
    gives_items = True

    def __init__(
        self,
        name: str,
        *,
        server: Server,
        url: Callable[[], str],
        http: aiohttp.ClientSession,
        admissions: Sequence[Admission],
        headers: Mapping[str, str] = {},
    ) -> None:
        self.name = name
        self.server = server
        self._url = url
        self._http = http
        self._admissions = cycle(admissions)
        self._headers = headers

    async def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        """Admitted here."""
        body = orjson.dumps(request)
        ticket = await next(self._admissions).ticket(body, request["max_tokens"])
        yield ADMITTED
        headers = {**self._headers, "Penstock-Ticket": ticket, "Content-Type": "application/json"}
        chat = f"{self._url()}/v1/chat/completions"
        while True:
            async with self._http.post(chat, data=body, headers=headers) as response:
                if response.status == 200:
                    async for item in _items(response):
                        yield item
                    return
                if response.status != 503 or OURS in response.headers:
                    raise BenchmarkFailed(f"{self.name}: {response.status} {(await response.text())[:400]}")
            await asyncio.sleep(ASK_AGAIN_S)


class Sdk:
    """Penstock's client, which hands on the chunks of Modal's items one by one."""

    name = SDK
    admits_itself = True
    gives_items = False

    def __init__(self, server: Server, clients: Sequence[AsyncPenstock]) -> None:
        self.server = server
        self._clients = cycle(clients)

    async def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        """Admitted in the container."""
        stream = await next(self._clients).chat.completions.create(**request)
        yield ADMITTED
        async for chunk in stream:
            text = any(choice.delta.content for choice in chunk.choices)
            yield Item(text, 0 if chunk.usage is None else chunk.usage.completion_tokens)


class Raw:
    """Modal's client and nothing else."""

    name = RAW
    admits_itself = True
    gives_items = True

    def __init__(self, server: Server, generator: Any, api_keys: Sequence[str]) -> None:
        self.server = server
        self._generator = generator
        self._api_keys = cycle(api_keys)

    async def ask(self, request: Mapping[str, Any]) -> AsyncGenerator[Item]:
        """Admitted in the container."""
        items = self._generator.generate.remote_gen.aio(dict(request), api_key=next(self._api_keys))
        await anext(items)
        yield ADMITTED
        async for chunks in items:
            yield item_of(chunks)


def item_of(chunks: list[dict[str, Any]]) -> Item:
    """What chunks in OpenAI's shape have in them, that came at once."""
    text = any(choice["delta"].get("content") for chunk in chunks for choice in chunk["choices"])
    usages = [chunk["usage"]["completion_tokens"] for chunk in chunks if chunk.get("usage")]
    return Item(text, usages[-1] if usages else 0)


async def _items(response: aiohttp.ClientResponse) -> AsyncGenerator[Item]:
    decoder = SseDecoder()
    async for part in response.content.iter_any():
        chunks = [orjson.loads(event.data) for event in decoder.feed(part) if event.data != "[DONE]"]
        if any("error" in chunk for chunk in chunks):
            raise BenchmarkFailed(f"a stream broke off: {chunks}")
        if chunks:
            yield item_of(chunks)
