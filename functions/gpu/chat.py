"""`POST /v1/chat/completions`: what it asks of the engine."""

from functions.gpu.allowance import bound, granted
from functions.gpu.chat_answer import ChatAnswer
from functions.gpu.endpoint import Job
from functions.gpu.engine import Engine
from functions.gpu.sampling import sampling_of
from functions.gpu.work import Writing
from penstock.clock import now_ms
from penstock.ledger import Lease
from penstock.schemas import read_chat_request

PARAM = "messages"


async def read_chat(engine: Engine, lease: Lease, body: bytes) -> Job:
    """A conversation, to be answered. Raises ApiError, and the engine's REFUSALS."""
    request = read_chat_request(body)
    messages = [{"role": message.role, "content": message.content} for message in request.messages]
    prompts = [await engine.tokenize(messages)]
    context = engine.context_length
    max_tokens = granted(prompts, request.limit, context, param=PARAM, limit_param=request.limit_param)
    reserved = bound(prompts, max_tokens, request.choices, lease, context, param=PARAM)
    logprobs = (request.top_logprobs or 0) if request.logprobs else None
    sampling = await sampling_of(engine, request, max_tokens, logprobs=logprobs)
    answer = ChatAnswer(lease, now_ms(), request)
    return Job(Writing(prompts, sampling, reserved), answer, answer if request.stream else None)
