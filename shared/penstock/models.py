"""The table of served models, read from `penstock.toml`.

It names each model, where its weights come from, how much it can read, what it costs and where it runs. The
edge reads it to validate and to reserve, the GPU process to load. A model without a price in force is not
served: an unknown price refuses, it never bills nothing.
"""

import re
import tomllib
from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from penstock.clock import day_of
from penstock.placement import Placement
from penstock.prices import Price, nano_per_token

ModelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}$")]
DollarsPerMillion = Annotated[Decimal, Field(ge=0, le=1_000)]
Factor = Annotated[Decimal, Field(gt=0, le=1)]


class ConfigError(Exception):
    """`penstock.toml` is missing or wrong; the message says where, in one line."""


REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")  # of the hub: org/name

# Around a plain text: the tokens of its beginning and end, a space before it, and one to spare.
TEXT_TOKENS = 4


class PriceEntry(BaseModel):
    """A price in dollars per million tokens, from a UTC day on, and what part of it a batch's lines cost."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    effective: date
    prompt: DollarsPerMillion
    cached_prompt: DollarsPerMillion
    completion: DollarsPerMillion
    batch: Factor = Decimal(1)

    @model_validator(mode="after")
    def _exact(self) -> Self:
        self.price()
        self._batch_is_exact()
        return self

    def _batch_is_exact(self) -> None:
        try:
            self.batch_price()
        except ValueError as error:
            raise ValueError(f"batch = {self.batch} times the price: {error}") from error

    def price(self) -> Price:
        """The same in nano-dollars per token; its version is the day from which it holds."""
        return Price(
            version=self.effective.isoformat(),
            prompt=nano_per_token(self.prompt),
            cached_prompt=nano_per_token(self.cached_prompt),
            completion=nano_per_token(self.completion),
        )

    def batch_price(self) -> Price:
        """The same for the lines of batches, with a version of its own."""
        return self.price().times(self.batch, f"{self.effective.isoformat()}/batch")


class Embeddings(BaseModel):
    """How a model embeds: over which hidden states, and to which sizes it may be cut besides its own."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    pooling: Literal["mean", "last"]
    dimensions: tuple[Annotated[int, Field(ge=1, le=65_536)], ...] = ()


class ServedModel(BaseModel):
    """One model of the table."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: ModelName
    aliases: tuple[ModelName, ...] = ()
    source: str = Field(min_length=1, description="A folder (relative to penstock.toml), or org/name of the hub.")
    revision: str | None = Field(
        default=None, pattern="^[0-9a-f]{40}$", description="The hub's commit, 40 hex digits; a repository needs it."
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    context_length: int = Field(ge=16, le=10_000_000, description="Prompt and completion, in tokens.")
    quantization: Literal["none", "int8"] = "none"
    # What it serves: chat needs a chat template, embeddings a way to pool.
    chat: bool = True
    completions: bool = True
    embeddings: Embeddings | None = None
    # An upper bound, in tokens, of what the chat template adds around the messages' own bytes.
    template_tokens: int = Field(default=256, ge=0, le=16_384)
    template_tokens_per_message: int = Field(default=16, ge=1, le=1_024)
    created: date = date(2026, 1, 1)
    owned_by: str = "penstock"
    modal: Placement = Placement()
    prices: tuple[PriceEntry, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _serves_something(self) -> Self:
        if not (self.chat or self.completions or self.embeddings):
            raise ValueError("serves nothing: no chat, no completions and no embeddings")
        return self

    @model_validator(mode="after")
    def _one_price_a_day(self) -> Self:
        if len({entry.effective for entry in self.prices}) != len(self.prices):
            raise ValueError("two prices take effect on the same day")
        return self

    @property
    def of_hub(self) -> bool:
        """Whether its weights are a repository's of the hub, at one commit; otherwise they are a folder's."""
        return self.revision is not None and REPOSITORY.fullmatch(self.source) is not None

    def price_at(self, now: int, *, batch: bool = False) -> Price | None:
        """The price in force at `now` (milliseconds), of a request or of a batch's lines; None where none is yet."""
        today = date.fromisoformat(day_of(now))
        due = [entry for entry in self.prices if entry.effective <= today]
        if not due:
            return None
        entry = max(due, key=lambda entry: entry.effective)
        return entry.batch_price() if batch else entry.price()

    def prompt_bound(self, prompt_bytes: int, messages: int) -> int:
        """An upper bound of the prompt's tokens, for who has no tokenizer: a token is at least one byte.

        No messages are a plain text, which no chat template surrounds.
        """
        template = self.template_tokens + messages * self.template_tokens_per_message
        overhead = template if messages else TEXT_TOKENS
        return min(prompt_bytes + overhead, self.context_length)


class ModelTable:
    """The served models, by name and alias, in the order of the file."""

    def __init__(self, models: Iterable[ServedModel]) -> None:
        self.models = tuple(models)
        self._by_name: dict[str, ServedModel] = {}
        for model in self.models:
            for name in (model.name, *model.aliases):
                if name in self._by_name:
                    raise ConfigError(f"the model name {name!r} stands twice")
                self._by_name[name] = model

    def get(self, name: str) -> ServedModel | None:
        """The model of that name or alias."""
        return self._by_name.get(name)


def read_toml(path: Path) -> dict[str, Any]:
    """The tables of `penstock.toml`; one of another name is refused. Raises ConfigError."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"), parse_float=Decimal)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such file") from error
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: {error}") from error
    for name in data:
        if name not in ("models", "deployment"):
            raise ConfigError(f"{path}: {name}: unknown; only [deployment] and [models.NAME] tables are read")
    return data


def read_models(path: Path) -> ModelTable:
    """The models in `path`. Folders in it are resolved against the file's own. Raises ConfigError.

    The `[deployment]` table is left to who deploys (penstock.deployment).
    """
    tables = read_toml(path).get("models")
    if not isinstance(tables, dict) or not tables:
        raise ConfigError(f"{path}: no [models.NAME] table")
    models = [_served(path, name, table) for name, table in tables.items()]
    try:
        return ModelTable(models)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def _served(path: Path, name: str, table: object) -> ServedModel:
    if not isinstance(table, dict) or "name" in table:
        raise ConfigError(f"{path}: models.{name}: must be a table, without a `name` of its own")
    try:
        model = ServedModel.model_validate({"name": name, **table})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in ("models", name, *first["loc"]))
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error
    folder = path.parent / model.source
    if folder.is_dir():
        return model.model_copy(update={"source": str(folder.resolve())})
    if REPOSITORY.fullmatch(model.source) and model.revision is None:
        raise ConfigError(
            f"{path}: models.{name}.revision: missing; {model.source!r} is no folder here, and a repository of the "
            "hub is served at one commit, of 40 hex digits (a folder that is elsewhere begins with ./)"
        )
    return model
