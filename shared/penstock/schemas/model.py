"""`GET /v1/models`."""

from typing import Literal

from pydantic import BaseModel


class Model(BaseModel):
    """A served model."""

    id: str
    object: Literal["model"] = "model"
    created: int  # seconds since the epoch
    owned_by: str


class ModelList(BaseModel):
    """All models that the caller may use."""

    object: Literal["list"] = "list"
    data: list[Model]
