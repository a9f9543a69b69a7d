"""`POST /v1/embeddings`: what it asks of the engine."""

from functions.gpu.allowance import bound, granted
from functions.gpu.embedding_answer import CODED, WRITTEN, EmbeddingAnswer
from functions.gpu.endpoint import Job
from functions.gpu.engine import Engine
from functions.gpu.prompts import tokens_of
from functions.gpu.work import Embedding
from penstock.errors import BadRequest
from penstock.ledger import Lease
from penstock.schemas import EmbeddingRequest, read_embedding_request

PARAM = "input"
MAX_ANSWER = 60 << 20  # bytes; the edge relays little more, and nothing should be billed that nobody gets


async def read_embedding(engine: Engine, lease: Lease, body: bytes) -> Job:
    """Texts or token ids, to be embedded. Raises ApiError, and the engine's REFUSALS."""
    request = read_embedding_request(body)
    _check_size(request, engine.embedding_size)
    prompts = await tokens_of(engine, request.inputs, PARAM)
    context = engine.context_length
    granted(prompts, 0, context, param=PARAM, limit_param=PARAM)
    reserved = bound(prompts, 0, 1, lease, context, param=PARAM)
    answer = EmbeddingAnswer(lease, as_base64=request.encoding_format == "base64")
    return Job(Embedding(prompts, request.dimensions, reserved), answer)


def _check_size(request: EmbeddingRequest, size: int | None) -> None:
    """Check that there are such embeddings, and that all of them together can be sent."""
    if size is None:
        raise BadRequest("This model gives no embeddings.", param="model", code="model_not_supported")
    if request.dimensions is not None and request.dimensions > size:
        message = f"dimensions is {request.dimensions}, but this model's embeddings have {size}."
        raise BadRequest(message, param="dimensions", code="invalid_value")
    of_text = (request.dimensions or size) * (CODED if request.encoding_format == "base64" else WRITTEN)
    if len(request.inputs) * of_text > MAX_ANSWER:
        message = (
            f"The embeddings of {len(request.inputs)} texts would be too long an answer. "
            f"Please send at most {MAX_ANSWER // of_text} at a time, or ask for base64."
        )
        raise BadRequest(message, param=PARAM, code="answer_too_large")
