"""Embeddings: the request, which texts are read, and the answer."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from penstock.admission import Demand
from penstock.errors import BadRequest
from penstock.models import ServedModel
from penstock.schemas.parameters import EMBEDDING
from penstock.schemas.prompts import Prompt, demands_of, described, reading
from penstock.schemas.reading import Strict, json_object, read
from penstock.schemas.sampling import Count, Label, ModelName
from penstock.schemas.wire import Wire

MAX_INPUTS = 2_048

Inputs = Annotated[tuple[Prompt, ...], reading(MAX_INPUTS, empty=False), described(MAX_INPUTS, empty=False)]


class EmbeddingRequest(Strict):
    """The body of `POST /v1/embeddings`."""

    model: ModelName
    inputs: Inputs = Field(alias="input")
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[Count, Field(ge=1)] | None = None
    # Accepted without effect.
    user: Label | None = None

    @property
    def stream(self) -> bool:
        """Embeddings come whole."""
        return False

    def demands(self) -> tuple[Demand, ...]:
        """What is asked of each text: to be read, and nothing to be written."""
        return demands_of(self.inputs, 0)

    def require_fit(self, model: ServedModel) -> None:
        """Raises BadRequest where the model gives no embeddings of this size."""
        sizes = () if model.embeddings is None else model.embeddings.dimensions
        if self.dimensions is None or self.dimensions in sizes:
            return
        may = f"may be one of {', '.join(map(str, sizes))}" if sizes else "cannot be chosen"
        raise BadRequest(f"dimensions: of {model.name!r} they {may}.", param="dimensions", code="invalid_value")


class Embedding(Wire):
    """The embedding of one text: a list of numbers, or base64 of them as little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(Wire):
    """The tokens of a request, as they are billed."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingList(Wire):
    """The answer, in the order of the texts."""

    object: Literal["list"]
    data: list[Embedding]
    model: str
    usage: EmbeddingUsage


def read_embedding_request(body: bytes) -> EmbeddingRequest:
    """The request in `body`. Raises BadRequest (or UnsupportedParameter) that names what is wrong."""
    return embedding_request(json_object(body))


def embedding_request(data: Mapping[str, Any]) -> EmbeddingRequest:
    """The same of a body that was parsed already."""
    return read(EmbeddingRequest, EMBEDDING.known(data))
