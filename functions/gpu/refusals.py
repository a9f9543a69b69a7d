"""What a caller is told where the engine does not take its request: how it may be changed, or when to come again."""

from functions.gpu.engine import InvalidPrompt, PromptTooLong, QueueFull
from penstock.errors import ApiError, BadRequest, RateLimited, Unavailable

Refusal = QueueFull | InvalidPrompt | PromptTooLong
REFUSALS = (QueueFull, InvalidPrompt, PromptTooLong)  # of the engine's errors, those that are no failure


def refusal_of(error: Refusal, param: str) -> ApiError:
    """The error in the API's words; `param` is the caller's name for what the model reads."""
    if isinstance(error, QueueFull):
        return _queue_full(error)
    if isinstance(error, InvalidPrompt):
        return BadRequest(f"The model does not accept these {param}: {error}.", param=param, code="invalid_prompt")
    return BadRequest(
        f"This model's memory holds {error.context_length} tokens of one request, but "
        f"{error.prompt_tokens + error.max_tokens} were requested: {error.prompt_tokens} in {param!r} and "
        f"{error.max_tokens} for the answer. Please shorten one of them.",
        param=param,
        code="context_length_exceeded",
    )


def _queue_full(error: QueueFull) -> ApiError:
    """429 to whoever takes up most of the queue, who can do something about it; 503 to everybody else."""
    if error.own * 2 > error.limit:
        return RateLimited(
            f"{error.own} requests of this account are waiting for the model, of {error.limit} that may wait in all.",
            code="queue_full",
            headers={"Retry-After": str(error.retry_after_s)},
        )
    message = "As many requests are waiting for the model as may."
    return Unavailable(message, code="queue_full", retry_after=error.retry_after_s)
