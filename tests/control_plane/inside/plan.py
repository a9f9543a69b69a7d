"""What a container is to be: written by the control plane, read by the first process inside."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

# Where the container sees its own folder `runtime`: the socket of the control plane and its arguments.
RUNTIME = "/__modal"


@dataclass(frozen=True, slots=True)
class File:
    """A file of an image or of added source: where the container sees it, and what is in it."""

    path: str
    source: str
    mode: int = 0o644


@dataclass(frozen=True, slots=True)
class Mounted:
    """A Volume's folder, and where the container sees it."""

    path: str
    source: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """All paths are absolute. `folder` is the container's own on this machine.

    `kept` are folders of this machine that have to be seen although they lie below a hidden one; `masked` are
    files that are to be empty. `reach` are the ports of this machine's 127.0.0.1 that are ports of the
    container's too, each by way of the socket of that name in `gates`. `port` is the one the container serves.
    """

    folder: str
    command: list[str]
    environment: dict[str, str]
    gates: str
    files: list[File] = field(default_factory=list)
    volumes: list[Mounted] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    masked: list[str] = field(default_factory=list)
    reach: list[int] = field(default_factory=list)
    port: int | None = None

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(asdict(self)))

    @classmethod
    def read(cls, path: Path) -> "Plan":
        """The plan in the file at `path`, as `write` wrote it."""
        values = json.loads(path.read_text())
        files = [File(**file) for file in values.pop("files")]
        volumes = [Mounted(**volume) for volume in values.pop("volumes")]
        return cls(**values, files=files, volumes=volumes)
