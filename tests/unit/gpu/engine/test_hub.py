"""Sources to folders, against a real cache layout and a hub of a few lines on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from functions.gpu.engine.hub import resolve
from functions.gpu.engine.protocol import ModelUnreadable
from tests.hub import COMMIT, NOWHERE, Hub, serving
from tests.hub import REPOSITORY as NAME

INDEX, SHARDS = "model.safetensors.index.json", ("model-1.safetensors", "model-2.safetensors")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and nothing of what the machine's user has set up."""
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda _: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")


@pytest.fixture
def hub() -> Iterator[Hub]:
    files = {"config.json": b"{}", "model.safetensors": b"weights", "chat_template.jinja": b"{{ messages }}"}
    with serving(Hub(files)) as hub:
        yield hub


def cached(cache: Path, *names: str) -> Path:
    """A snapshot of the commit in a cache, with these files."""
    repository = cache / "models--org--name"
    snapshot = repository / "snapshots" / COMMIT
    for folder in (snapshot, repository / "blobs", repository / "refs"):
        folder.mkdir(parents=True, exist_ok=True)
    (repository / "refs" / "main").write_text(COMMIT)
    for name in names:
        content = json.dumps({"weight_map": dict(enumerate(SHARDS))}) if name == INDEX else name
        (repository / "blobs" / name).write_text(content)
        (snapshot / name).symlink_to(repository / "blobs" / name)
    return snapshot


def one_line(caught: pytest.ExceptionInfo[ModelUnreadable]) -> str:
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 700
    return message


def test_a_folder_is_itself(tmp_path: Path) -> None:
    assert resolve(str(tmp_path), None, cache=None, offline=True, endpoint=NOWHERE) == tmp_path


@pytest.mark.parametrize(
    "source", ["/no/such/folder", "./nothing", "name", "a/b/c", "../org/name", "org/", "org/na me"]
)
def test_what_is_neither_a_folder_nor_a_repository_is_refused(source: str) -> None:
    with pytest.raises(ModelUnreadable, match="is no folder, and no organization/name of a repository"):
        resolve(source, COMMIT, cache=None, offline=False, endpoint=NOWHERE)


@pytest.mark.parametrize("revision", [None, "main", "v1", COMMIT[:7], COMMIT.upper(), COMMIT + "0", "x" * 40])
def test_a_revision_that_could_move_is_refused(revision: str | None, tmp_path: Path) -> None:
    with pytest.raises(ModelUnreadable, match="is no commit of 40 hexadecimal digits, and a branch or a tag could"):
        resolve(NAME, revision, cache=tmp_path, offline=True, endpoint=NOWHERE)


@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("names", [("model.safetensors",), (INDEX, *SHARDS)])
def test_what_is_cached_is_used_and_nobody_asked(
    tmp_path: Path, names: tuple[str, ...], offline: bool, hub: Hub
) -> None:
    snapshot = cached(tmp_path, "config.json", *names)
    assert resolve(NAME, COMMIT, cache=tmp_path, offline=offline, endpoint=hub.address) == snapshot
    assert hub.asked == []


def test_the_environment_can_say_where_and_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelUnreadable, match=f"is not, or not wholly, in {tmp_path}, and nothing is fetched offline"):
        resolve(NAME, COMMIT, cache=None, offline=False, endpoint=NOWHERE)
    snapshot = cached(tmp_path, "config.json", "model.safetensors")
    assert resolve(NAME, COMMIT, cache=None, offline=False, endpoint=NOWHERE) == snapshot


PARTIAL = [(), ("config.json",), ("model.safetensors",), ("config.json", INDEX, SHARDS[0])]


@pytest.mark.parametrize("names", PARTIAL, ids=["nothing", "no weights", "no configuration", "a shard too few"])
def test_what_is_missing_offline_is_one_line_with_the_remedy(tmp_path: Path, names: tuple[str, ...], hub: Hub) -> None:
    cached(tmp_path, *names)
    with pytest.raises(ModelUnreadable) as caught:
        resolve(NAME, COMMIT, cache=tmp_path, offline=True, endpoint=hub.address)
    missing = f"{NAME} at {COMMIT} is not, or not wholly, in {tmp_path}, and nothing is fetched offline: "
    assert (
        one_line(caught) == missing + f"fetch it with `hf download {NAME} --revision {COMMIT} --cache-dir {tmp_path}`"
    )
    assert hub.asked == []


@pytest.mark.parametrize("names", PARTIAL, ids=["nothing", "no weights", "no configuration", "a shard too few"])
def test_what_is_missing_while_nobody_answers_is_one_line(tmp_path: Path, names: tuple[str, ...]) -> None:
    cached(tmp_path, *names)
    with pytest.raises(
        ModelUnreadable, match=r"is not, or not wholly, in .*, and the hub cannot be reached.*: fetch it with"
    ) as caught:
        resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=NOWHERE)
    one_line(caught)


def test_a_broken_link_is_a_missing_file(tmp_path: Path) -> None:
    snapshot = cached(tmp_path, "config.json", "model.safetensors")
    (snapshot / "model.safetensors").resolve().unlink()
    with pytest.raises(ModelUnreadable, match="not wholly"):
        resolve(NAME, COMMIT, cache=tmp_path, offline=True, endpoint=NOWHERE)


def test_a_repository_is_fetched_once_and_only_what_is_needed(
    tmp_path: Path, hub: Hub, capfd: pytest.CaptureFixture[str]
) -> None:
    unwanted = ["pytorch_model.bin", "consolidated.safetensors", "onnx/config.json", "README.md", "code.py"]
    hub.files |= dict.fromkeys(unwanted, b"not this")
    folder = resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address)
    names = {"config.json", "model.safetensors", "chat_template.jinja"}
    assert {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()} == names
    assert (folder / "model.safetensors").read_bytes() == b"weights"
    asked = len(hub.asked)
    assert resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address) == folder
    assert len(hub.asked) == asked
    assert capfd.readouterr() == ("", "")


def test_a_snapshot_that_somebody_began_is_completed(tmp_path: Path, hub: Hub) -> None:
    cached(tmp_path, "config.json")
    folder = resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address)
    assert (folder / "model.safetensors").read_bytes() == b"weights"


def test_a_file_that_was_lost_is_fetched_again(tmp_path: Path, hub: Hub) -> None:
    """The listing of the commit's files is cached as well, so even a missing template shows."""
    folder = resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address)
    (folder / "chat_template.jinja").unlink()
    with pytest.raises(ModelUnreadable, match="not wholly"):
        resolve(NAME, COMMIT, cache=tmp_path, offline=True, endpoint=hub.address)
    assert resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address) == folder
    assert (folder / "chat_template.jinja").exists()


def test_a_repository_without_safetensors_is_refused(tmp_path: Path, hub: Hub) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickled"}
    with pytest.raises(ModelUnreadable, match=rf"^{NAME} at {COMMIT}: no model\.safetensors and no"):
        resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address)


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (403, "GatedRepo", "the repository is gated: accept its terms on the hub, and set HF_TOKEN"),
        (401, "RepoNotFound", "no such repository, or it is private and HF_TOKEN is no token that may read it"),
        (404, "RepoNotFound", "no such repository, or it is private"),
        (404, "RevisionNotFound", "the repository has no such commit"),
        (500, "", r"and the hub cannot be reached \(.*500.*\): fetch it with"),
    ],
)
def test_what_the_hub_refuses_is_one_line(tmp_path: Path, hub: Hub, status: int, code: str, reason: str) -> None:
    hub.status, hub.code = status, code
    with pytest.raises(ModelUnreadable, match=reason) as caught:
        resolve(NAME, COMMIT, cache=tmp_path, offline=False, endpoint=hub.address)
    assert one_line(caught).startswith(f"{NAME} at {COMMIT}")
