"""A model's source to its folder: a folder is itself, and a repository of the hub is fetched once.

Promises that a repository is one commit, whose files never change; that what is in the cache already, all of
it, is used without asking the network; and that whatever goes wrong is one ModelUnreadable of one line. Light:
imports no torch. The cache has huggingface_hub's own layout, so that every tool of the hub fills and reads
the same one: https://huggingface.co/docs/huggingface_hub/guides/manage-cache. The token for what is not public is
huggingface_hub's to know, from HF_TOKEN.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from huggingface_hub import HfApi, constants, get_cached_repo_tree, snapshot_download
from huggingface_hub.errors import (
    CachedRepoTreeNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoFile
from huggingface_hub.utils import disable_progress_bars, filter_repo_objects
from huggingface_hub.utils import logging as hub_logging

from functions.gpu.engine.checkpoint import weight_files
from functions.gpu.engine.protocol import ModelUnreadable

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
COMMIT = re.compile(r"[0-9a-f]{40}")
WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
# Folders hold other formats, and a consolidated file holds all of the weights a second time.
UNWANTED = ["*/*", "consolidated*"]
LINE = 200  # characters of a library's error message that are passed on
MOST_FILES = 1_000


@dataclass(frozen=True)
class HubFile:
    """A file of a commit, and what the hub says its content is: one of both hashes, in hexadecimal."""

    name: str
    size: int  # bytes
    sha256: str | None  # of a large one, which git only points to
    blob_sha1: str  # git's own hash, of the header `blob SIZE NUL` and the content; of a large one, of the pointer


def resolve(
    source: str, revision: str | None, *, cache: Path | None, offline: bool, endpoint: str | None = None
) -> Path:
    """The folder of a model, all of whose weights are there. Raises ModelUnreadable.

    `source` is a folder, or `organization/name` of a repository, whose `revision` is a commit. `cache` None is
    the user's own, `endpoint` None the hub that HF_ENDPOINT names. `offline` never asks the network. May take as
    long as a download does, and half a minute until a hub that cannot be reached is given up.
    """
    folder = Path(source)
    if folder.is_dir():
        return folder
    _check_names(source, revision)
    commit, cache = str(revision), cache or Path(constants.HF_HUB_CACHE)
    _silence()
    if (snapshot := _cached(source, commit, cache)) is not None:
        return snapshot
    missing = f"{source} at {commit} is not, or not wholly, in {cache}"
    remedy = f"fetch it with `hf download {source} --revision {commit} --cache-dir {cache}`"
    if offline or constants.HF_HUB_OFFLINE:
        raise ModelUnreadable(f"{missing}, and nothing is fetched offline: {remedy}")
    try:
        with _explained(source, commit):
            snapshot = _snapshot(source, commit, cache, endpoint)
            # Without a listing of the commit's files the hub was not reached, and this is what was cached before.
            get_cached_repo_tree(source, revision=commit, cache_dir=cache)
            weight_files(snapshot)
    except (LocalEntryNotFoundError, CachedRepoTreeNotFoundError) as error:
        raise ModelUnreadable(f"{missing}, and {_unreached(error)}: {remedy}") from error
    return snapshot


def wanted_files(repository: str, commit: str, *, endpoint: str | None = None) -> tuple[HubFile, ...]:
    """The files of a commit that a model is loaded from, as the hub lists them. Raises ModelUnreadable."""
    _check_names(repository, commit)
    _silence()
    with _explained(repository, commit, otherwise="the hub cannot be reached: "):
        entries = HfApi(endpoint=endpoint).list_repo_tree(repository, revision=commit)
        listed = (entry for entry in entries if isinstance(entry, RepoFile))
        wanted = filter_repo_objects(
            listed, allow_patterns=WANTED, ignore_patterns=UNWANTED, key=lambda entry: str(entry.path)
        )
        files = tuple(
            HubFile(entry.path, entry.size, entry.lfs.sha256 if entry.lfs else None, entry.blob_id)
            for entry in islice(wanted, MOST_FILES + 1)
        )
        if len(files) > MOST_FILES:
            raise ModelUnreadable(f"more than {MOST_FILES} files to load a model from")
    return files


def fetch(repository: str, commit: str, folder: Path, *, endpoint: str | None = None) -> None:
    """Fetch `wanted_files` into `folder`, and leave those that it has. Raises ModelUnreadable.

    A fetch that is repeated goes on with the first file that is not whole: huggingface_hub 2.4 keeps no part of
    one. Within one call it resumes a connection that breaks, five times. Leaves its notes in `folder/.cache`.
    """
    _silence()
    try:
        with _explained(repository, commit):
            snapshot_download(
                repository,
                revision=commit,
                local_dir=folder,
                allow_patterns=WANTED,
                ignore_patterns=UNWANTED,
                endpoint=endpoint,
            )
            weight_files(folder)
            if not (folder / "config.json").is_file():
                raise ModelUnreadable("no config.json")
    except LocalEntryNotFoundError as error:
        raise ModelUnreadable(f"{repository} at {commit}: {_unreached(error)}") from error


def _silence() -> None:
    hub_logging.set_verbosity(hub_logging.CRITICAL)  # our logs are JSON
    disable_progress_bars()


@contextmanager
def _explained(repository: str, commit: str, *, otherwise: str = "") -> Iterator[None]:
    """What goes wrong within becomes one ModelUnreadable, except that nobody answers and the cache is not whole.

    `otherwise` goes before what is no answer of the hub's.
    """
    try:
        yield
    except (LocalEntryNotFoundError, CachedRepoTreeNotFoundError):
        raise
    except ModelUnreadable as error:
        raise ModelUnreadable(f"{repository} at {commit}: {error}") from None
    except HfHubHTTPError as error:
        raise ModelUnreadable(f"{repository} at {commit}: {_reason(error)}") from error
    except Exception as error:
        raise ModelUnreadable(f"{repository} at {commit}: {otherwise}{_reason(error)}") from error


def _check_names(source: str, revision: str | None) -> None:
    if REPOSITORY.fullmatch(source) is None:
        raise ModelUnreadable(f"{source!r} is no folder, and no organization/name of a repository")
    if revision is None or COMMIT.fullmatch(revision) is None:
        raise ModelUnreadable(
            f"{source}: the revision {revision!r} is no commit of 40 hexadecimal digits, "
            "and a branch or a tag could bring other weights any day"
        )


def _cached(repository: str, commit: str, cache: Path) -> Path | None:
    """What is in the cache, if it is whole.

    Where a listing of the commit's files is cached too, huggingface_hub compares. Otherwise any folder would
    do for it, even one with nothing but a configuration; so the weights are looked for here.
    """
    try:
        snapshot = _snapshot(repository, commit, cache, None, offline=True)
        weight_files(snapshot)
    except (LocalEntryNotFoundError, ModelUnreadable):
        return None
    return snapshot if (snapshot / "config.json").exists() else None


def _snapshot(repository: str, commit: str, cache: Path, endpoint: str | None, *, offline: bool = False) -> Path:
    return Path(
        snapshot_download(
            repository,
            revision=commit,
            cache_dir=cache,
            allow_patterns=WANTED,
            ignore_patterns=UNWANTED,
            endpoint=endpoint,
            local_files_only=offline,
        )
    )


def _unreached(error: Exception) -> str:
    return f"the hub cannot be reached{f' ({_reason(error.__cause__)})' if error.__cause__ else ''}"


def _reason(error: BaseException) -> str:
    """One line for what the hub answered, with what to do about it where something can be done."""
    match error:
        case GatedRepoError():  # is a RepositoryNotFoundError as well
            return "the repository is gated: accept its terms on the hub, and set HF_TOKEN to a token that may read it"
        case RepositoryNotFoundError():
            return "no such repository, or it is private and HF_TOKEN is no token that may read it"
        case RevisionNotFoundError():
            return "the repository has no such commit"
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    return (reason or type(error).__name__)[:LINE]
