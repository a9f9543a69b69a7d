"""Where and how a model runs on Modal: its `[models.NAME.modal]` table in `penstock.toml`.

Every number has Modal's own bounds or tighter ones, so that a mistake shows here and not in a deployment.
Which GPUs there are is Modal's to know: any NAME or NAME:COUNT is taken.
https://modal.com/docs/guide/gpu, https://modal.com/docs/guide/scale.
"""

from typing import Annotated, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator


def _several(value: object) -> object:
    return [value] if isinstance(value, str) else value


Gpu = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,31}!?(:[1-8])?$")]
Region = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class Placement(BaseModel):
    """A model's containers. Windows, timeouts and periods are in seconds."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    # The first choice and what may stand in for it; none: CPU only.
    gpu: Annotated[tuple[Gpu, ...], BeforeValidator(_several), Field(max_length=8)] = ()
    cpu: float | None = Field(default=None, gt=0, le=128, allow_inf_nan=False, description="Cores.")
    memory_mib: int | None = Field(default=None, ge=128, le=1 << 20)
    min_containers: int = Field(default=0, ge=0, le=1_000)
    # Idle ones kept beside those that work.
    buffer_containers: int = Field(default=0, ge=0, le=1_000)
    max_containers: int = Field(default=1, ge=1, le=1_000)
    # How long a container without work is kept.
    scaledown_window: int = Field(default=300, ge=2, le=3_600)
    region: Region | None = Field(default=None, description="Where containers run; unset: anywhere.")
    # Not more than a step of the engine has tokens, of which each answer needs one.
    max_running: int = Field(default=64, ge=1, le=512, description="Answers that a container generates at once.")
    startup_timeout: int = Field(default=600, ge=10, le=3_600)
    # How long a container that is told to end may take to end its answers.
    exit_grace_period: int = Field(default=300, ge=0, le=3_600)
    snapshot: bool = Field(default=True, description="Whether a container starts from a snapshot of its memory.")

    @model_validator(mode="after")
    def _within_the_most(self) -> Self:
        if self.min_containers > self.max_containers:
            raise ValueError("min_containers is more than max_containers")
        return self

    @property
    def max_waiting(self) -> int:
        """Requests that may wait in a container beside those that run.

        One account gets three quarters of the places, and more of them than run: it can fill an idle container at once.
        """
        return 2 * self.max_running

    @property
    def max_concurrency(self) -> int:
        """Requests that a container takes in; Modal answers 429 to more."""
        return self.max_running + self.max_waiting

    @property
    def target_concurrency(self) -> int:
        """Requests in a container above which Modal starts another, before the first is full."""
        return max(1, self.max_running * 3 // 4)
