"""Weights on a Volume: where they lie, what stands beside them, and how a pull tells of itself.

    MODEL/REVISION/        the files that the model is loaded from, in one folder; MODEL is quoted as in a URL
    MODEL/REVISION.json    the manifest: what these files are. It is written last, so without it nothing is there
    MODEL/current.json     of a model whose source is a folder: which revision is served
    .partial/MODEL/        what is on its way

A revision of the hub is a commit; one of a folder is a digest of its files' digests. There are
no links, so that any tool copies a Volume. Who writes into a mounted Volume is functions.gpu.weights, who does
so from elsewhere penstock.deploy.volume. The files that are wanted are those of functions.gpu.engine.hub.
"""

from collections.abc import Iterable
from datetime import datetime
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Literal, TypedDict
from urllib.parse import quote

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

WANTED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
UNWANTED = ("consolidated*",)  # all of the weights a second time

CURRENT = "current.json"
PARTIAL = ".partial"
MAX_MANIFEST_BYTES = 1 << 20

_READ = 4 << 20  # bytes at once


class WeightsError(Exception):
    """Weights cannot be put there, or taken away; the message is one line, and says what can be done."""


# waiting: for another pull of the same.
Step = Literal["waiting", "fetching", "checking", "sending", "done"]


class Progress(TypedDict):
    """How far a pull is; the last one has the step `done`. Every step has all of the bytes before it."""

    step: Step
    done: int
    total: int


def _of_a_file(name: str) -> str:
    if name in (".", ".."):
        raise ValueError("is the name of a folder")
    return name


Revision = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{40}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[^/\\\x00-\x1f]{1,255}$"), AfterValidator(_of_a_file)]


class WeightFile(BaseModel):
    """A file in the revision's folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: FileName
    size: int = Field(ge=0, description="Bytes.")
    sha256: Digest


class Manifest(BaseModel):
    """What one revision of a model's weights is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    source: str = Field(description="A repository of the hub, or the name of a folder.")
    revision: Revision
    files: tuple[WeightFile, ...] = Field(min_length=1, max_length=1_000)
    pulled_at: datetime

    @property
    def total(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


class Current(BaseModel):
    """Which revision is served, of a model whose source is a folder."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    revision: Revision


def folder_of(model: str) -> str:
    """The name of a model's folder: one part of a path, from which the model's name can be had again."""
    return quote(model, safe="")


def parse_manifest(content: bytes) -> Manifest | None:
    """A manifest; None where it is none, or one of a later layout."""
    try:
        return Manifest.model_validate_json(content)
    except ValidationError:
        return None


def parse_current(content: bytes) -> Current | None:
    """The served revision; None where it is not said."""
    try:
        return Current.model_validate_json(content)
    except ValidationError:
        return None


def digest_of(file: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    digest = sha256()
    with file.open("rb") as opened:
        while part := opened.read(_READ):
            digest.update(part)
    return digest.hexdigest()


def revision_of(files: Iterable[WeightFile]) -> str:
    """The revision that a folder's files are: it changes where any file's name or content does."""
    lines = sorted(f"{file.sha256} {file.size} {file.name}\n" for file in files)
    return sha256("".join(lines).encode()).hexdigest()[:40]
