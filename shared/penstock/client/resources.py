"""The API's resources, blocking: each method makes a call, has it carried, and reads the answer.

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
from penstock.client.call import Caller
from penstock.client.calls import (
    chat_call,
    completion_call,
    embedding_call,
    model_call,
    models_call,
    usage_call,
)
from penstock.client.parameters import ChatArguments, CompletionArguments, EmbeddingArguments, UsageParameters
from penstock.client.stream import Stream
from penstock.schemas import ChatCompletionChunk
from penstock.schemas import Completion as CompletionChunk


class ChatCompletions:
    """`client.chat.completions`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @overload
    def create(self, *, stream: Literal[False] = False, **arguments: Unpack[ChatArguments]) -> ChatCompletion: ...
    @overload
    def create(self, *, stream: Literal[True], **arguments: Unpack[ChatArguments]) -> Stream[ChatCompletionChunk]: ...
    @overload
    def create(
        self, *, stream: bool, **arguments: Unpack[ChatArguments]
    ) -> ChatCompletion | Stream[ChatCompletionChunk]: ...
    def create(
        self, *, stream: bool = False, **arguments: Unpack[ChatArguments]
    ) -> ChatCompletion | Stream[ChatCompletionChunk]:
        """The answer to a conversation: whole, or chunk by chunk."""
        call = chat_call(arguments, stream=stream)
        if stream:
            return Stream(self._caller.stream(call), ChatCompletionChunk)
        return read_answer(ChatCompletion, self._caller.whole(call))


class Chat:
    """`client.chat`."""

    def __init__(self, caller: Caller) -> None:
        self.completions = ChatCompletions(caller)


class Completions:
    """`client.completions`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    @overload
    def create(self, *, stream: Literal[False] = False, **arguments: Unpack[CompletionArguments]) -> Completion: ...
    @overload
    def create(self, *, stream: Literal[True], **arguments: Unpack[CompletionArguments]) -> Stream[CompletionChunk]: ...
    @overload
    def create(
        self, *, stream: bool, **arguments: Unpack[CompletionArguments]
    ) -> Completion | Stream[CompletionChunk]: ...
    def create(
        self, *, stream: bool = False, **arguments: Unpack[CompletionArguments]
    ) -> Completion | Stream[CompletionChunk]:
        """What goes on with a text or several: whole, or chunk by chunk."""
        call = completion_call(arguments, stream=stream)
        if stream:
            return Stream(self._caller.stream(call), CompletionChunk)
        return read_answer(Completion, self._caller.whole(call))


class Embeddings:
    """`client.embeddings`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def create(self, **arguments: Unpack[EmbeddingArguments]) -> EmbeddingList:
        """The embeddings of a text or several, as lists of numbers; with `encoding_format`, as it says."""
        answer = self._caller.whole(embedding_call(arguments))
        return read_embeddings(answer, encoded=arguments.get("encoding_format") == "base64")


class Models:
    """`client.models`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self) -> ModelList:
        """The models that the key may use."""
        return read_answer(ModelList, self._caller.whole(models_call()))

    def retrieve(self, model: str) -> Model:
        """A model, by its name or an alias."""
        return read_answer(Model, self._caller.whole(model_call(model)))


class Usage:
    """`client.usage`."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    def list(self, **arguments: Unpack[UsageParameters]) -> UsageReport:
        """What the key or its account used, the key's limits, and what remains of them."""
        return read_answer(UsageReport, self._caller.whole(usage_call(arguments)))
