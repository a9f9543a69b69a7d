"""How a request wants its tokens picked, as the engine takes it."""

from functions.gpu.allowance import known
from functions.gpu.engine import Engine, Grammar, GrammarKind, GrammarSpec, InvalidGrammar, Sampling
from penstock.errors import BadRequest
from penstock.schemas import AnswerForm, Sampled


async def sampling_of(
    engine: Engine, request: Sampled, max_tokens: int, *, logprobs: int | None, prompt_logprobs: int | None = None
) -> Sampling:
    """The request's sampling. Raises BadRequest for what only the model tells to be wrong: an id, a grammar."""
    known(request.logit_bias, engine.vocabulary_size, "logit_bias")
    known(request.stop_token_ids, engine.vocabulary_size, "stop_token_ids")
    _enough(request, max_tokens)
    return Sampling(
        max_tokens=max_tokens,
        temperature=1.0 if request.temperature is None else request.temperature,
        top_p=1.0 if request.top_p is None else request.top_p,
        top_k=request.top_k or 0,
        min_p=request.min_p or 0.0,
        seed=request.seed,
        n=request.choices,
        presence_penalty=request.presence_penalty or 0.0,
        frequency_penalty=request.frequency_penalty or 0.0,
        repetition_penalty=1.0 if request.repetition_penalty is None else request.repetition_penalty,
        logit_bias=request.logit_bias,
        logprobs=logprobs,
        prompt_logprobs=prompt_logprobs,
        min_tokens=request.min_tokens or 0,
        ignore_eos=bool(request.ignore_eos),
        stop=request.stop,
        stop_token_ids=frozenset(request.stop_token_ids),
        grammar=None if request.grammar is None else await _compiled(engine, request.grammar),
    )


def _enough(request: Sampled, max_tokens: int) -> None:
    """Where no limit was asked for, only here is known how many tokens there can be."""
    if request.min_tokens is not None and request.min_tokens > max_tokens:
        raise BadRequest(
            f"min_tokens is {request.min_tokens}, but the context has room for {max_tokens} tokens of answer.",
            param="min_tokens",
            code="context_length_exceeded",
        )


async def _compiled(engine: Engine, form: AnswerForm) -> Grammar:
    try:
        return await engine.compile(GrammarSpec(GrammarKind(form.kind), form.text))
    except InvalidGrammar as error:
        message = f"{form.param}: an answer cannot be held to it: {error}."
        raise BadRequest(message, param=form.param, code="invalid_schema") from None
