"""Answers: those of `penstock.schemas`, which have come by a reply. Fields that a newer API adds are passed over."""

import sys
from array import array
from base64 import b64decode
from binascii import Error as NotBase64
from typing import Any, Self, TypeVar

from pydantic import BaseModel, PrivateAttr, ValidationError

from penstock import schemas
from penstock.batches.records import Status
from penstock.client.call import Answer, Reply
from penstock.client.errors import UnexpectedAnswer


class Answered(BaseModel):
    """What every answer has besides its fields."""

    _reply: Reply = PrivateAttr(default_factory=Reply)

    @property
    def reply(self) -> Reply:
        """What came beside the answer: its headers, and how often it was asked for again."""
        return self._reply

    @property
    def request_id(self) -> str | None:
        """The request's id, by which the API's operator finds it."""
        return self._reply.request_id

    def came_by(self, reply: Reply) -> Self:
        """The answer, with this reply."""
        self._reply = reply
        return self


class ChatCompletion(Answered, schemas.ChatCompletion):
    """The answer to a conversation."""


class Completion(Answered, schemas.Completion):
    """What goes on with a text."""


class EmbeddingList(Answered, schemas.EmbeddingList):
    """Embeddings, in the order of their texts."""


class ModelList(Answered, schemas.ModelList):
    """The models that the key may use."""


class Model(Answered, schemas.Model):
    """A served model."""


class FileObject(Answered, schemas.FileObject):
    """A file."""


class FilePage(Answered, schemas.FilePage):
    """Some of the files; the next ones come `after` its `last_id`, where it `has_more`."""


class FileDeleted(Answered, schemas.FileDeleted):
    """A file that is no more."""


class Batch(Answered, schemas.Batch):
    """A batch, and how far it has come."""

    @property
    def final(self) -> bool:
        """Whether nothing more will happen to it."""
        return Status(self.status).final


class BatchPage(Answered, schemas.BatchPage):
    """Some of the batches, newest first; the next ones come `after` its `last_id`, where it `has_more`."""


class UsageReport(Answered, schemas.UsageReport):
    """What was used, and what remains."""


A = TypeVar("A", bound=Answered)
M = TypeVar("M", bound=BaseModel)


def read_answer(kind: type[A], answer: Answer) -> A:
    """The answer as what it is. Raises UnexpectedAnswer."""
    return read_part(kind, answer.body).came_by(answer.reply)


def read_part(kind: type[M], part: Any) -> M:
    """A part of an answer, parsed from JSON, as what it is. Raises UnexpectedAnswer."""
    try:
        return kind.model_validate(part)
    except ValidationError as error:
        raise UnexpectedAnswer(f"the answer is no {kind.__name__}: this is not Penstock's API") from error


def read_embeddings(answer: Answer, *, encoded: bool) -> EmbeddingList:
    """The embeddings as lists of numbers; `encoded`: as they came. Raises UnexpectedAnswer."""
    read = read_answer(EmbeddingList, answer)
    if encoded:
        return read
    data = [one.model_copy(update={"embedding": _numbers(one.embedding)}) for one in read.data]
    return read.model_copy(update={"data": data})


def _numbers(embedding: list[float] | str) -> list[float]:
    """Base64 of little-endian float32 as numbers."""
    if isinstance(embedding, list):
        return embedding
    try:
        numbers = array("f", b64decode(embedding, validate=True))
    except (NotBase64, ValueError) as error:
        raise UnexpectedAnswer("an embedding is not in base64") from error
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
