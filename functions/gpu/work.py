"""What a request asks of the engine: its prompt in tokens, how to sample, and the true bound of its use."""

from dataclasses import dataclass

from functions.gpu.engine import Engine, InvalidPrompt, Sampling
from penstock.errors import BadRequest
from penstock.ledger import Bound, Lease
from penstock.schemas import ChatRequest


@dataclass(frozen=True, slots=True)
class Work:
    """A request that fits the context and its lease."""

    prompt: list[int]
    sampling: Sampling
    bound: Bound


async def prepare(engine: Engine, request: ChatRequest, lease: Lease) -> Work:
    """The request's work. Raises BadRequest, with the numbers, where it cannot fit."""
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    try:
        prompt = await engine.tokenize(messages)
    except InvalidPrompt as error:
        raise _not_accepted(error) from None
    max_tokens = _max_tokens(request, len(prompt), engine.context_length)
    bound = Bound(
        tokens=len(prompt) + max_tokens,
        nano=lease.price.most(len(prompt), max_tokens, engine.context_length),
    )
    if not bound.within(lease.bound):
        raise _over_the_lease(bound, lease)
    return Work(prompt, _sampling(request, max_tokens), bound)


def _not_accepted(error: InvalidPrompt) -> BadRequest:
    message = f"The model's chat template does not accept these messages: {error}."
    return BadRequest(message, param="messages", code="invalid_prompt")


def _max_tokens(request: ChatRequest, prompt: int, context: int) -> int:
    """The most tokens the answer may have: what was asked for, or what is left of the context."""
    if prompt + 1 > context:
        raise BadRequest(
            f"This model's maximum context length is {context} tokens, but the messages are {prompt} "
            "tokens, which leaves none for an answer. Please shorten the messages.",
            param="messages",
            code="context_length_exceeded",
        )
    if request.limit is None:
        return context - prompt
    if prompt + request.limit > context:
        raise BadRequest(
            f"This model's maximum context length is {context} tokens, but {prompt + request.limit} were "
            f"requested: {prompt} in the messages and {request.limit} for the answer. Please shorten the "
            f"messages, or ask for at most {context - prompt} tokens.",
            param=request.limit_param,
            code="context_length_exceeded",
        )
    return request.limit


def _over_the_lease(bound: Bound, lease: Lease) -> BadRequest:
    return BadRequest(
        f"The request needs {bound.tokens} tokens and up to {bound.nano} nano-dollars, but only "
        f"{lease.bound.tokens} tokens and {lease.bound.nano} nano-dollars were reserved for it.",
        param="messages",
        code="reservation_exceeded",
    )


def _sampling(request: ChatRequest, max_tokens: int) -> Sampling:
    return Sampling(
        max_tokens=max_tokens,
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        seed=request.seed,
        stop=request.stop,
    )
