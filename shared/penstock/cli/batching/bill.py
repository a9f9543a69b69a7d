"""What a batch's answers cost: the sum of what each line says it used, at the batch price of its model. Exact."""

from dataclasses import dataclass, field

from pydantic import BaseModel, TypeAdapter

from penstock.models import ModelTable
from penstock.schemas.completion import PromptTokensDetails


class _Usage(BaseModel):
    prompt_tokens: int
    completion_tokens: int = 0  # of embeddings
    prompt_tokens_details: PromptTokensDetails = PromptTokensDetails()


class _Body(BaseModel):
    model: str
    usage: _Usage


class _Response(BaseModel):
    body: _Body


class _Line(BaseModel):
    response: _Response


_LINE = TypeAdapter(_Line)


@dataclass(slots=True)
class Bill:
    """The sums so far, of the output's bytes as they come: whole lines, in parts of any size."""

    models: ModelTable
    now: int  # milliseconds: prices are those of this time
    prompt: int = 0  # tokens
    cached: int = 0  # of them
    completion: int = 0
    nano: int = 0  # dollars
    _rest: bytes = field(default=b"", repr=False)

    def add(self, part: bytes) -> None:
        """Count the lines that the part completes. Raises ValueError for one that is no answer."""
        *lines, self._rest = (self._rest + part).split(b"\n")
        for line in lines:
            self._count(_LINE.validate_json(line).response.body)

    def _count(self, body: _Body) -> None:
        usage, model = body.usage, self.models.get(body.model)
        cached = usage.prompt_tokens_details.cached_tokens
        self.prompt += usage.prompt_tokens
        self.cached += cached
        self.completion += usage.completion_tokens
        price = None if model is None else model.price_at(self.now, batch=True)
        if price is not None:
            self.nano += price.cost(usage.prompt_tokens, cached, usage.completion_tokens)
