"""`POST /v1/completions`: what it asks of the engine."""

from functions.gpu.allowance import bound, granted
from functions.gpu.completion_answer import CompletionAnswer
from functions.gpu.endpoint import Job
from functions.gpu.engine import Engine
from functions.gpu.prompts import tokens_of
from functions.gpu.sampling import sampling_of
from functions.gpu.work import Writing
from penstock.clock import now_ms
from penstock.ledger import Lease
from penstock.schemas import read_completion_request
from penstock.schemas.prompts import Prompt

PARAM = "prompt"


async def read_completion(engine: Engine, lease: Lease, body: bytes) -> Job:
    """Texts or token ids, to be continued. Raises ApiError, and the engine's REFUSALS."""
    request = read_completion_request(body)
    prompts = await tokens_of(engine, request.prompts, PARAM)
    context = engine.context_length
    max_tokens = granted(prompts, request.limit, context, param=PARAM, limit_param=PARAM)
    reserved = bound(prompts, max_tokens, request.choices, lease, context, param=PARAM)
    of_prompt = request.logprobs if request.echo else None
    sampling = await sampling_of(engine, request, max_tokens, logprobs=request.logprobs, prompt_logprobs=of_prompt)
    echoes = [await _text(engine, prompt) for prompt in request.prompts] if request.echo else []
    answer = CompletionAnswer(lease, now_ms(), request, echoes)
    return Job(Writing(prompts, sampling, reserved), answer, answer if request.stream else None)


async def _text(engine: Engine, prompt: Prompt) -> str:
    return prompt if isinstance(prompt, str) else await engine.decode(prompt)
