"""The API's resources, asynchronous: each method makes a call, has it carried, and reads the answer.

Every method raises PenstockError, and TypeError for arguments that it does not take. Names are OpenAI's client's.
"""

from typing import Literal, Unpack, overload

from penstock.client.answers import (
    ChatCompletion,
    Completion,
    EmbeddingList,
    Model,
    ModelList,
    UsageReport,
    read_answer,
    read_embeddings,
)
from penstock.client.call import AsyncCaller
from penstock.client.calls import (
    chat_call,
    completion_call,
    embedding_call,
    model_call,
    models_call,
    usage_call,
)
from penstock.client.parameters import ChatArguments, CompletionArguments, EmbeddingArguments, UsageParameters
from penstock.client.stream import AsyncStream
from penstock.schemas import ChatCompletionChunk
from penstock.schemas import Completion as CompletionChunk


class AsyncChatCompletions:
    """`client.chat.completions`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    @overload
    async def create(self, *, stream: Literal[False] = False, **arguments: Unpack[ChatArguments]) -> ChatCompletion: ...
    @overload
    async def create(
        self, *, stream: Literal[True], **arguments: Unpack[ChatArguments]
    ) -> AsyncStream[ChatCompletionChunk]: ...
    @overload
    async def create(
        self, *, stream: bool, **arguments: Unpack[ChatArguments]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]: ...
    async def create(
        self, *, stream: bool = False, **arguments: Unpack[ChatArguments]
    ) -> ChatCompletion | AsyncStream[ChatCompletionChunk]:
        """The answer to a conversation: whole, or chunk by chunk."""
        call = chat_call(arguments, stream=stream)
        if stream:
            return AsyncStream(await self._caller.stream(call), ChatCompletionChunk)
        return read_answer(ChatCompletion, await self._caller.whole(call))


class AsyncChat:
    """`client.chat`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self.completions = AsyncChatCompletions(caller)


class AsyncCompletions:
    """`client.completions`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    @overload
    async def create(
        self, *, stream: Literal[False] = False, **arguments: Unpack[CompletionArguments]
    ) -> Completion: ...
    @overload
    async def create(
        self, *, stream: Literal[True], **arguments: Unpack[CompletionArguments]
    ) -> AsyncStream[CompletionChunk]: ...
    @overload
    async def create(
        self, *, stream: bool, **arguments: Unpack[CompletionArguments]
    ) -> Completion | AsyncStream[CompletionChunk]: ...
    async def create(
        self, *, stream: bool = False, **arguments: Unpack[CompletionArguments]
    ) -> Completion | AsyncStream[CompletionChunk]:
        """What goes on with a text or several: whole, or chunk by chunk."""
        call = completion_call(arguments, stream=stream)
        if stream:
            return AsyncStream(await self._caller.stream(call), CompletionChunk)
        return read_answer(Completion, await self._caller.whole(call))


class AsyncEmbeddings:
    """`client.embeddings`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def create(self, **arguments: Unpack[EmbeddingArguments]) -> EmbeddingList:
        """The embeddings of a text or several, as lists of numbers; with `encoding_format`, as it says."""
        answer = await self._caller.whole(embedding_call(arguments))
        return read_embeddings(answer, encoded=arguments.get("encoding_format") == "base64")


class AsyncModels:
    """`client.models`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def list(self) -> ModelList:
        """The models that the key may use."""
        return read_answer(ModelList, await self._caller.whole(models_call()))

    async def retrieve(self, model: str) -> Model:
        """A model, by its name or an alias."""
        return read_answer(Model, await self._caller.whole(model_call(model)))


class AsyncUsage:
    """`client.usage`."""

    def __init__(self, caller: AsyncCaller) -> None:
        self._caller = caller

    async def list(self, **arguments: Unpack[UsageParameters]) -> UsageReport:
        """What the key or its account used, the key's limits, and what remains of them."""
        return read_answer(UsageReport, await self._caller.whole(usage_call(arguments)))
