"""Weights on a folder that stands for a mounted Volume, pulled from a hub on this machine."""

import json
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import huggingface_hub
import pytest
from huggingface_hub import constants

from functions.gpu.engine import ModelUnreadable
from functions.gpu.engine import hub as engine_hub
from functions.gpu.weights import Progress, Weights
from penstock import weights as layout
from penstock.models import ServedModel
from penstock.weights import WeightFile, WeightsError, folder_of, parse_manifest, revision_of
from tests.hub import COMMIT, NOWHERE, REPOSITORY, Hub, serving

FILES = {
    "config.json": b"{}",
    "model-1.safetensors": b"one" * 20_000,
    "model-2.safetensors": b"two" * 20_000,
    "model.safetensors.index.json": json.dumps(
        {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    ).encode(),
    "tokenizer.json": b"{}",
}
NOT_WANTED = {"README.md": b"x", "pytorch_model.bin": b"x", "onnx/config.json": b"{}", "code.py": b"x"}
PRICE = "prices = [{ effective = 2026-01-01, prompt = 1, cached_prompt = 1, completion = 1 }]"


def model(name: str = "acme/large", source: str = REPOSITORY, revision: str | None = COMMIT) -> ServedModel:
    return ServedModel.model_validate(
        {"name": name, "source": source, "revision": revision, "context_length": 64} | tomllib.loads(PRICE)
    )


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No waiting between attempts, and nothing of what the machine's user has set up."""
    monkeypatch.setattr(huggingface_hub.utils._http.time, "sleep", lambda _: None)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_DISABLE_IMPLICIT_TOKEN", "1")


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving(Hub(FILES | NOT_WANTED, large={"model-1.safetensors", "model-2.safetensors"})) as hub:
        yield hub


@pytest.fixture
def weights(tmp_path: Path, hub: Hub) -> Weights:
    return Weights(tmp_path, endpoint=hub.address, poll_s=0.01)


def pull(weights: Weights, wanted: ServedModel | None = None) -> list[Progress]:
    return list(weights.pull(wanted or model()))


def refused(weights: Weights, wanted: ServedModel | None = None) -> str:
    with pytest.raises(WeightsError) as caught:
        pull(weights, wanted)
    said = str(caught.value)
    assert said.startswith("acme/large: ")
    assert "\n" not in said
    return said.removeprefix("acme/large: ")


def not_found(weights: Weights, wanted: ServedModel | None = None) -> str:
    with pytest.raises(ModelUnreadable) as caught:
        weights.find(wanted or model())
    said = str(caught.value)
    assert said.startswith("acme/large: ")
    assert said.endswith(": run `penstock weights pull acme/large`")
    assert "\n" not in said
    return said


def fetched(hub: Hub) -> list[str]:
    """The files of which somebody asked for the content."""
    return [asked.rpartition("/")[2] for asked in hub.asked if asked.startswith("GET") and "/resolve/" in asked]


# -- pulled and found


def test_what_is_pulled_is_found_and_is_the_hubs(weights: Weights, tmp_path: Path, hub: Hub) -> None:
    steps = pull(weights)
    folder = weights.find(model())
    assert folder == tmp_path / "acme%2Flarge" / COMMIT
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == FILES
    total = sum(len(content) for content in FILES.values())
    assert steps[-1] == {"step": "done", "done": total, "total": total}
    assert {step["step"] for step in steps} <= {"fetching", "checking", "done"}
    assert all(0 <= step["done"] <= step["total"] == total for step in steps)
    assert not list((tmp_path / layout.PARTIAL).rglob("*.safetensors"))


def test_the_manifest_says_what_is_there(weights: Weights, tmp_path: Path) -> None:
    pull(weights)
    manifest = parse_manifest((tmp_path / "acme%2Flarge" / f"{COMMIT}.json").read_bytes())
    assert manifest is not None
    assert (manifest.model, manifest.source, manifest.revision) == ("acme/large", REPOSITORY, COMMIT)
    assert {file.name: (file.size, file.sha256) for file in manifest.files} == {
        name: (len(content), sha256(content).hexdigest()) for name, content in FILES.items()
    }


def test_finding_asks_nobody(weights: Weights, tmp_path: Path, hub: Hub) -> None:
    pull(weights)
    asked = len(hub.asked)
    weights.find(model())
    not_found(Weights(tmp_path / "empty", endpoint=hub.address))
    assert len(hub.asked) == asked


def test_what_is_there_is_left_alone(weights: Weights, hub: Hub) -> None:
    pull(weights)
    before = {file: file.stat().st_mtime_ns for file in weights.find(model()).iterdir()}
    asked = len(hub.asked)
    assert [step["step"] for step in pull(weights)] == ["done"]
    assert {file: file.stat().st_mtime_ns for file in weights.find(model()).iterdir()} == before
    assert len(hub.asked) == asked


def test_models_and_revisions_lie_beside_each_other(weights: Weights) -> None:
    other = model("acme:large")
    pull(weights)
    pull(weights, other)
    assert weights.find(model()) != weights.find(other)
    assert not_found(weights, model(revision="f" * 40)).startswith(f"acme/large: its weights of {REPOSITORY} at fff")


def test_a_source_that_changed_is_not_served_from_the_old_ones(weights: Weights) -> None:
    pull(weights)
    assert "its weights of other/name at" in not_found(weights, model(source="other/name"))


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_that_is_missing_or_short_is_named_and_a_pull_mends_it(weights: Weights, name: str) -> None:
    pull(weights)
    file = weights.find(model()) / name
    file.write_bytes(FILES[name][:-1])
    assert f"{name} in {file.parent} has {len(FILES[name]) - 1} bytes and not {len(FILES[name])}" in not_found(weights)
    file.unlink()
    assert f"{name} in {file.parent} is missing" in not_found(weights)
    pull(weights)
    assert (weights.find(model()) / name).read_bytes() == FILES[name]


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"model": "acme/large"}'])
def test_a_manifest_that_is_none_is_nothing_there(weights: Weights, tmp_path: Path, content: bytes) -> None:
    pull(weights)
    (tmp_path / "acme%2Flarge" / f"{COMMIT}.json").write_bytes(content)
    not_found(weights)
    pull(weights)
    weights.find(model())


def test_a_manifest_cannot_lead_out_of_its_folder(weights: Weights, tmp_path: Path) -> None:
    pull(weights)
    file = tmp_path / "acme%2Flarge" / f"{COMMIT}.json"
    for name in ("../secret", "..", "/etc/passwd", "a\\b"):
        manifest = json.loads(file.read_text())
        manifest["files"][0]["name"] = name
        assert parse_manifest(json.dumps(manifest).encode()) is None


# -- interrupted, damaged, at once


def test_a_pull_that_was_interrupted_goes_on_with_what_is_missing(weights: Weights, hub: Hub) -> None:
    hub.fails = {"model-2.safetensors"}
    assert "500" in refused(weights)
    not_found(weights)
    assert "model-1.safetensors" in fetched(hub)
    hub.fails, hub.asked = set(), []
    pull(weights)
    assert set(fetched(hub)) == {"model-2.safetensors"}
    assert (weights.find(model()) / "model-1.safetensors").read_bytes() == FILES["model-1.safetensors"]


def test_a_connection_that_breaks_is_taken_up_where_it_broke(weights: Weights, hub: Hub) -> None:
    hub.cut = {"model-1.safetensors"}
    pull(weights)
    assert fetched(hub).count("model-1.safetensors") == 2
    assert (weights.find(model()) / "model-1.safetensors").read_bytes() == FILES["model-1.safetensors"]


@pytest.mark.parametrize("name", ["model-1.safetensors", "config.json"], ids=["large", "small"])
def test_a_file_that_arrives_damaged_is_refused_and_fetched_again(weights: Weights, hub: Hub, name: str) -> None:
    hub.sends = {name: bytes(len(FILES[name]))}
    assert refused(weights) == f"{name} arrived damaged and was removed: pull again"
    not_found(weights)
    hub.sends, hub.asked = {}, []
    pull(weights)
    assert fetched(hub) == [name]
    assert (weights.find(model()) / name).read_bytes() == FILES[name]


def test_a_file_that_was_damaged_while_it_waited_is_refused(weights: Weights, hub: Hub, tmp_path: Path) -> None:
    hub.fails = {"model-2.safetensors"}
    refused(weights)
    (half,) = (tmp_path / layout.PARTIAL).rglob("model-1.safetensors")
    half.write_bytes(bytes(60_000))
    hub.fails = set()
    assert refused(weights) == "model-1.safetensors arrived damaged and was removed: pull again"
    pull(weights)
    weights.find(model())


def test_two_pulls_at_once_fetch_once(weights: Weights, hub: Hub) -> None:
    with ThreadPoolExecutor(4) as threads:
        ended = [future.result() for future in [threads.submit(pull, weights) for _ in range(4)]]
    assert all(steps[-1]["step"] == "done" for steps in ended)
    assert sorted(fetched(hub)) == sorted(FILES)
    weights.find(model())


def test_two_pulls_on_two_mounts_bring_the_same(tmp_path: Path, hub: Hub) -> None:
    mounts = [Weights(tmp_path / name, endpoint=hub.address, poll_s=0.01) for name in "ab"]
    for mount in mounts:
        pull(mount)
    first, second = ({file.name: file.read_bytes() for file in mount.find(model()).iterdir()} for mount in mounts)
    assert first == second


def test_who_leaves_a_pull_early_leaves_nothing_broken(weights: Weights) -> None:
    steps = weights.pull(model())
    next(steps)
    steps.close()  # type: ignore[attr-defined]
    not_found(weights)
    pull(weights)
    weights.find(model())


# -- refused


@pytest.mark.parametrize(
    ("status", "code", "says"),
    [
        (403, "GatedRepo", "the repository is gated: accept its terms on the hub, and set HF_TOKEN"),
        (401, "RepoNotFound", "no such repository, or it is private and HF_TOKEN is no token that may read it"),
        (404, "RevisionNotFound", "the repository has no such commit"),
        (500, "", "500"),
    ],
)
def test_what_the_hub_refuses_is_one_line(weights: Weights, hub: Hub, status: int, code: str, says: str) -> None:
    hub.status, hub.code = status, code
    said = refused(weights)
    assert said.startswith(f"{REPOSITORY} at {COMMIT}: ")
    assert says in said


def test_a_hub_that_nobody_reaches_is_one_line(tmp_path: Path) -> None:
    said = refused(Weights(tmp_path, endpoint=NOWHERE))
    assert said.startswith(f"{REPOSITORY} at {COMMIT}: the hub cannot be reached: ")


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"config.json": b"{}", "pytorch_model.bin": b"pickled"}, "no model.safetensors and no "),
        ({"model.safetensors": b"weights"}, "no config.json"),
        ({name: content for name, content in FILES.items() if name != "model-2.safetensors"}, "model-2.safetensors is"),
    ],
)
def test_a_commit_that_cannot_be_loaded_is_refused(
    weights: Weights, hub: Hub, files: dict[str, bytes], says: str
) -> None:
    hub.files = files
    assert says in refused(weights)
    not_found(weights)


def test_more_files_than_a_model_has_are_refused(weights: Weights, hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_hub, "MOST_FILES", 4)
    assert "more than 4 files" in refused(weights)
    assert fetched(hub) == []


def test_a_disk_that_is_full_or_read_only_is_one_line(tmp_path: Path, hub: Hub) -> None:
    (tmp_path / "file").write_text("no folder")
    assert "Not a directory" in refused(Weights(tmp_path / "file", endpoint=hub.address))


# -- a folder's


def uploaded(root: Path, name: str = "acme/large") -> str:
    """A revision as penstock.deploy.volume leaves one."""
    files = [WeightFile(name=n, size=len(c), sha256=sha256(c).hexdigest()) for n, c in FILES.items()]
    revision = revision_of(files)
    folder = root / folder_of(name)
    (folder / revision).mkdir(parents=True)
    for file, content in FILES.items():
        (folder / revision / file).write_bytes(content)
    manifest = layout.Manifest.model_validate(
        {"model": name, "source": "large", "revision": revision, "files": files, "pulled_at": "2026-01-01T00:00:00Z"}
    )
    (folder / f"{revision}.json").write_text(manifest.model_dump_json())
    (folder / layout.CURRENT).write_text(json.dumps({"revision": revision}))
    return revision


def test_a_folders_weights_are_those_that_were_last_uploaded(weights: Weights, tmp_path: Path) -> None:
    local = model(source="./large", revision=None)
    not_found(weights, local)
    revision = uploaded(tmp_path)
    assert weights.find(local) == tmp_path / "acme%2Flarge" / revision
    (tmp_path / "acme%2Flarge" / layout.CURRENT).write_text('{"revision": "../x"}')
    not_found(weights, local)


def test_a_folders_weights_are_not_pulled_from_here(weights: Weights) -> None:
    assert "its source is a folder" in refused(weights, model(source="./large", revision=None))


# -- the layout


def test_a_revision_changes_with_any_name_and_content() -> None:
    one = WeightFile(name="a", size=1, sha256="0" * 64)
    others = [one.model_copy(update={"name": "b"}), one.model_copy(update={"sha256": "1" * 64})]
    assert len({revision_of([file]) for file in (one, *others)}) == 3
    assert revision_of([one, others[0]]) == revision_of([others[0], one]) != revision_of([one])


def test_both_sides_want_the_same_files() -> None:
    assert list(layout.WANTED) == engine_hub.WANTED
    assert [*layout.UNWANTED, "*/*"] == list(reversed(engine_hub.UNWANTED))
