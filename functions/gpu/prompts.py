"""Prompts that are no conversation, in tokens: texts are encoded, and ids are checked."""

from collections.abc import Iterable, Sequence

from functions.gpu.allowance import known
from functions.gpu.engine import Engine, InvalidPrompt
from penstock.schemas.prompts import Prompt


async def tokens_of(engine: Engine, prompts: Iterable[Prompt], param: str) -> list[Sequence[int]]:
    """Each prompt's tokens. Raises BadRequest for an id of no token, InvalidPrompt for a text without any."""
    return [await _tokens(engine, prompt, param) for prompt in prompts]


async def _tokens(engine: Engine, prompt: Prompt, param: str) -> Sequence[int]:
    if not isinstance(prompt, str):
        known(prompt, engine.vocabulary_size, param)
        return prompt
    tokens = await engine.encode(prompt)
    if not tokens:
        raise InvalidPrompt("a text has no tokens")
    return tokens
