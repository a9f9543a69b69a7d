"""What each route that reaches a GPU takes: how a body is read, and of which models.

The edge builds its routes from these, and a direct call picks one by what is asked; so both honour the same
and refuse the rest in the same words. How the answer is made is the GPU process's business.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from penstock.admission import Demand
from penstock.entitlement import require_model
from penstock.errors import NotFound
from penstock.ledger.records import Caller
from penstock.models import ModelTable, ServedModel
from penstock.schemas import (
    chat_request,
    completion_request,
    embedding_request,
    read_chat_request,
    read_completion_request,
    read_embedding_request,
)


class Call(Protocol):
    """A request's body as it was read, whichever route it came by."""

    @property
    def model(self) -> str:
        """A model's name or alias."""

    @property
    def stream(self) -> bool | None:
        """Whether the answer comes as a stream."""

    def demands(self) -> tuple[Demand, ...]:
        """What it asks for, of each prompt."""

    def require_fit(self, model: ServedModel) -> None:
        """Raises BadRequest where the model could not do it, whatever the prompts' tokens are."""


@dataclass(frozen=True, slots=True)
class Intake:
    """What the route at `path` takes; `group` is what a key's scope calls it."""

    path: str
    group: str
    read: Callable[[bytes], Call]  # raises BadRequest
    take: Callable[[Mapping[str, Any]], Call]  # the same of a body that was parsed already
    served: Callable[[ServedModel], bool]

    def require(self, call: Call, model: ServedModel, caller: Caller) -> None:
        """Raises Forbidden, NotFound or BadRequest where this caller cannot have this of the model."""
        require_model(caller, model.name)
        if not self.served(model):
            raise NotFound(
                f"The model {model.name!r} is not served at {self.path}.", param="model", code="model_not_supported"
            )
        call.require_fit(model)


def model_of(call: Call, models: ModelTable) -> ServedModel:
    """The model that the call names. Raises NotFound."""
    model = models.get(call.model)
    if model is None:
        raise NotFound(f"The model {call.model!r} does not exist.", param="model", code="model_not_found")
    return model


CHAT = Intake("/v1/chat/completions", "chat", read_chat_request, chat_request, lambda model: model.chat)
COMPLETIONS = Intake(
    "/v1/completions", "completions", read_completion_request, completion_request, lambda model: model.completions
)
EMBEDDINGS = Intake(
    "/v1/embeddings",
    "embeddings",
    read_embedding_request,
    embedding_request,
    lambda model: model.embeddings is not None,
)

INTAKES: Mapping[str, Intake] = MappingProxyType({intake.path: intake for intake in (CHAT, COMPLETIONS, EMBEDDINGS)})
"""By the route's path."""
