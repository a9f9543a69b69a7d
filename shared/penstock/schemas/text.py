"""A plain completion's request: prompts that are texts or token ids, and no conversation."""

from collections.abc import Mapping
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from penstock.admission import Demand
from penstock.schemas.parameters import COMPLETION
from penstock.schemas.prompts import Prompt, demands_of, described, reading
from penstock.schemas.reading import json_object, read, wrong_at
from penstock.schemas.sampling import Choices, Count, Logprobs, Sampled

MAX_PROMPTS = 64
MAX_ANSWERS = 128  # to all prompts together
DEFAULT_MAX_TOKENS = 16  # as OpenAI has it

Prompts = Annotated[tuple[Prompt, ...], reading(MAX_PROMPTS, empty=True), described(MAX_PROMPTS, empty=True)]


class CompletionRequest(Sampled):
    """The body of `POST /v1/completions`: the parameters that are honoured, and the no-ops."""

    prompts: Prompts = Field(alias="prompt")
    max_tokens: Count | None = None
    echo: bool | None = None
    logprobs: Logprobs | None = None
    # Accepted without effect.
    best_of: Choices | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.limit == 0 and not self.echo:
            raise wrong_at("max_tokens", "may be 0 only when 'echo' is true")
        if self.best_of is not None and self.best_of != self.choices:
            raise wrong_at("best_of", "may only be as many as 'n': all are sent", "unsupported_parameter")
        if len(self.prompts) * self.choices > MAX_ANSWERS:
            raise wrong_at(
                "n", f"{len(self.prompts)} prompts of {self.choices} choices are more than {MAX_ANSWERS} answers"
            )
        return self

    @property
    def limit(self) -> int:
        """The most tokens a choice may have."""
        return DEFAULT_MAX_TOKENS if self.max_tokens is None else self.max_tokens

    def demands(self) -> tuple[Demand, ...]:
        """What is asked of each prompt."""
        return demands_of(self.prompts, self.limit, self.choices)


def read_completion_request(body: bytes) -> CompletionRequest:
    """The request in `body`. Raises BadRequest (or UnsupportedParameter) that names what is wrong."""
    return completion_request(json_object(body))


def completion_request(data: Mapping[str, Any]) -> CompletionRequest:
    """The same of a body that was parsed already."""
    return read(CompletionRequest, COMPLETION.known(data))
