"""What a request may use: token ids that exist, a length within the context, a bound within its lease."""

from collections.abc import Iterable, Sequence

from penstock.errors import BadRequest
from penstock.ledger import Bound, Lease


def known(tokens: Iterable[int], vocabulary: int, param: str) -> None:
    """Check that the ids are this model's. Raises BadRequest naming the first that is not."""
    for token in tokens:
        if not 0 <= token < vocabulary:
            raise BadRequest(
                f"{param!r} has the token id {token}; this model's are 0 to {vocabulary - 1}.",
                param=param,
                code="invalid_token_id",
            )


def granted(prompts: Iterable[Sequence[int]], limit: int | None, context: int, *, param: str, limit_param: str) -> int:
    """The most tokens each answer may have: what was asked for, or what the longest prompt leaves of the context.

    Raises BadRequest, with the numbers, where that does not fit.
    """
    longest = max(len(prompt) for prompt in prompts)
    least = 1 if limit is None else limit
    if longest + min(least, 1) > context:
        raise BadRequest(
            f"This model's maximum context length is {context} tokens, but {param!r} has {longest} tokens"
            f"{', which leaves none for an answer' if least else ''}. Please shorten it.",
            param=param,
            code="context_length_exceeded",
        )
    if longest + least > context:
        raise BadRequest(
            f"This model's maximum context length is {context} tokens, but {longest + least} were requested: "
            f"{longest} in {param!r} and {least} for the answer. Please shorten it, or ask for at most "
            f"{context - longest} tokens.",
            param=limit_param,
            code="context_length_exceeded",
        )
    return context - longest if limit is None else limit


def bound(
    prompts: Iterable[Sequence[int]], max_tokens: int, choices: int, lease: Lease, context: int, *, param: str
) -> Bound:
    """The most that choices to each of the prompts can use. Raises BadRequest where the lease holds less."""
    lengths = [len(prompt) for prompt in prompts]
    needed = Bound(
        tokens=sum(length + choices * max_tokens for length in lengths),
        nano=sum(lease.price.most(length, max_tokens, context, choices=choices) for length in lengths),
    )
    if not needed.within(lease.bound):
        raise BadRequest(
            f"The request needs {needed.tokens} tokens and up to {needed.nano} nano-dollars, but only "
            f"{lease.bound.tokens} tokens and {lease.bound.nano} nano-dollars were reserved for it.",
            param=param,
            code="reservation_exceeded",
        )
    return needed
