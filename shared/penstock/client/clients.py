"""Penstock and AsyncPenstock: the resources of one API, over one Caller."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from penstock.client.async_batches import AsyncBatches
from penstock.client.async_files import AsyncFiles
from penstock.client.async_http_caller import AsyncHttpCaller
from penstock.client.async_resources import AsyncChat, AsyncCompletions, AsyncEmbeddings, AsyncModels, AsyncUsage
from penstock.client.batches import Batches
from penstock.client.call import AsyncCaller, Caller, Delivery, Timeout
from penstock.client.errors import Misconfigured
from penstock.client.files import Files
from penstock.client.http import Endpoint
from penstock.client.http_caller import HttpCaller
from penstock.client.resources import Chat, Completions, Embeddings, Models, Usage


class Penstock:
    """A blocking client, which threads may share.

    `base_url` ends in /v1; it and `api_key` are PENSTOCK_BASE_URL's and PENSTOCK_API_KEY's where they are not given.
    `timeout` is for each connection and each silence, in seconds; without it, 10 to connect and 600. With
    `delivery="direct"` answers come from the GPU itself, where the deployment allows it. With a `caller`, calls go
    its way, and nothing else is of account. Raises Misconfigured.
    """

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        delivery: Delivery = "relay",
        caller: Caller | None = None,
    ) -> None:
        if caller is None:
            caller = HttpCaller(_endpoint(base_url, api_key, timeout, max_retries, delivery))
        self._caller = caller
        self.chat = Chat(caller)
        self.completions = Completions(caller)
        self.embeddings = Embeddings(caller)
        self.models = Models(caller)
        self.usage = Usage(caller)
        self.files = Files(caller)
        self.batches = Batches(caller)

    @classmethod
    def direct(
        cls,
        app: str,
        model: str,
        *,
        api_key: str | None = None,
        environment: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
    ) -> Self:
        """A client of one model, as it is deployed on Modal, by Modal's own calls (needs `penstock[modal]`).

        `api_key` pays; without it, the deployment's own key does. There are no `files` and no `batches` on this way.
        Raises Misconfigured.
        """
        with _needing_modal():
            from penstock.client.direct import ModalCaller  # noqa: PLC0415 (Modal's client is slow to import)
        return cls(
            caller=ModalCaller(
                app, model, api_key=api_key, environment=environment, timeout=timeout, max_retries=max_retries
            )
        )

    def close(self) -> None:
        """Let go of all connections."""
        self._caller.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


class AsyncPenstock:
    """The same for asyncio, one for each event loop."""

    def __init__(
        self,
        base_url: str | None = None,
        api_key: str | None = None,
        *,
        timeout: Timeout | None = None,
        max_retries: int = 2,
        delivery: Delivery = "relay",
        caller: AsyncCaller | None = None,
    ) -> None:
        if caller is None:
            caller = AsyncHttpCaller(_endpoint(base_url, api_key, timeout, max_retries, delivery))
        self._caller = caller
        self.chat = AsyncChat(caller)
        self.completions = AsyncCompletions(caller)
        self.embeddings = AsyncEmbeddings(caller)
        self.models = AsyncModels(caller)
        self.usage = AsyncUsage(caller)
        self.files = AsyncFiles(caller)
        self.batches = AsyncBatches(caller)

    @classmethod
    def direct(
        cls,
        app: str,
        model: str,
        *,
        api_key: str | None = None,
        environment: str | None = None,
        timeout: Timeout | None = None,
        max_retries: int = 2,
    ) -> Self:
        """The same as `Penstock.direct`."""
        with _needing_modal():
            from penstock.client.direct import AsyncModalCaller  # noqa: PLC0415 (Modal's client is slow to import)
        return cls(
            caller=AsyncModalCaller(
                app, model, api_key=api_key, environment=environment, timeout=timeout, max_retries=max_retries
            )
        )

    async def close(self) -> None:
        """Let go of all connections."""
        await self._caller.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self.close()


def _endpoint(
    base_url: str | None, api_key: str | None, timeout: Timeout | None, max_retries: int, delivery: Delivery
) -> Endpoint:
    return Endpoint(
        _given(base_url, "base_url", "PENSTOCK_BASE_URL"),
        _given(api_key, "api_key", "PENSTOCK_API_KEY"),
        timeout,
        max_retries,
        delivery,
    )


@contextmanager
def _needing_modal() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise Misconfigured("calls to Modal need its client: pip install 'penstock[modal]'") from error


def _given(value: str | None, name: str, variable: str) -> str:
    """The value, or the environment's. Raises Misconfigured where there is neither."""
    found = value if value is not None else os.environ.get(variable, "")
    if not found:
        raise Misconfigured(f"no {name}: give it, or set {variable}")
    return found
