"""`penstock weights` with Modal's client, against the workspace of the tests and the app that is deployed there."""

import os
from pathlib import Path

import pytest

from penstock.weights import PARTIAL, parse_manifest
from tests.hub import COMMIT, REPOSITORY, Hub
from tests.integration.cli.command import done, penstock, refused
from tests.integration.deploy.conftest import FILES, Workspace


@pytest.fixture(scope="module", autouse=True)
def deployed(workspace: Workspace) -> None:
    """The app, before any weights."""
    workspace.plane.set_secret("trial-secret", {"PENSTOCK_LEDGER_URL": "x"})
    workspace.deploy()


def files_of(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_a_repository_is_fetched_by_the_app(workspace: Workspace, hub: Hub) -> None:
    pulled = workspace.run("weights", "pull", "large")
    assert done(pulled) == "The weights of large are on the Volume trial-weights.\n"
    assert pulled.stderr.splitlines()[-1] == f"done 100 % of {sum(map(len, FILES.values())) // 1_000} kB"
    assert files_of(workspace.on_volume("large") / COMMIT) == FILES
    asked = len(hub.asked)
    done(workspace.run("weights", "pull", "large"))
    assert len(hub.asked) == asked


def test_a_revision_is_pulled_before_it_is_deployed(workspace: Workspace, tmp_path: Path) -> None:
    newer = tmp_path / "penstock.toml"
    newer.write_text(workspace.table.read_text().replace("[models.large]", "[models.newer]"))
    done(Workspace(workspace.plane, newer).run("weights", "pull", "newer"))
    assert files_of(workspace.on_volume("newer") / COMMIT) == FILES
    done(workspace.run("weights", "remove", "newer"))


def test_without_a_name_every_model_is_pulled(workspace: Workspace) -> None:
    said = done(workspace.run("weights", "pull"))
    assert said.splitlines() == [
        f"The weights of {model} are on the Volume trial-weights." for model in ("large", "acme/local")
    ]


def test_a_repository_that_refuses_is_one_line_here(workspace: Workspace, hub: Hub) -> None:
    done(workspace.run("weights", "pull", "large"))
    (workspace.on_volume("large") / f"{COMMIT}.json").unlink()
    hub.status, hub.code = 403, "GatedRepo"
    try:
        pulled = workspace.run("weights", "pull", "large")
    finally:
        hub.status, hub.code = 200, ""
    assert pulled.returncode == 1
    said = pulled.stderr.splitlines()[-1]
    assert said.startswith(f"penstock: large: {REPOSITORY} at {COMMIT}: the repository is gated: accept its terms")
    done(workspace.run("weights", "pull", "large"))


def test_a_folder_is_sent_from_here(workspace: Workspace) -> None:
    (workspace.local / "README.md").write_text("not for loading")
    pulled = workspace.run("weights", "pull", "local")
    assert done(pulled) == "The weights of acme/local are on the Volume trial-weights.\n"
    folder = workspace.on_volume("acme/local")
    assert files_of(folder / workspace.current()) == FILES
    manifest = parse_manifest((folder / f"{workspace.current()}.json").read_bytes())
    assert manifest is not None
    assert {file.name: file.size for file in manifest.files} == {name: len(content) for name, content in FILES.items()}
    assert (manifest.model, manifest.source) == ("acme/local", "local")


def test_what_is_there_is_not_sent_again(workspace: Workspace) -> None:
    done(workspace.run("weights", "pull", "local"))
    revision = workspace.on_volume("acme/local") / workspace.current()
    before = {file.name: file.stat().st_mtime_ns for file in revision.iterdir()}
    again = workspace.run("weights", "pull", "local")
    assert "sending" not in again.stderr
    assert {file.name: file.stat().st_mtime_ns for file in revision.iterdir()} == before


def test_a_sending_that_was_interrupted_is_ended_by_the_next(workspace: Workspace) -> None:
    done(workspace.run("weights", "pull", "local"))
    folder, revision = workspace.on_volume("acme/local"), workspace.current()
    (folder / f"{revision}.json").unlink()
    (folder / revision / "model.safetensors").write_bytes(b"half")
    done(workspace.run("weights", "pull", "local"))
    assert files_of(folder / revision) == FILES


def test_a_folder_that_changed_is_another_revision_beside_the_old(workspace: Workspace) -> None:
    done(workspace.run("weights", "pull", "local"))
    old = workspace.current()
    (workspace.local / "tokenizer.json").write_bytes(b"[]")
    try:
        done(workspace.run("weights", "pull", "local"))
        assert workspace.current() != old
        served = {
            line.split()[2]: line.split()[-1] == "yes"
            for line in done(workspace.run("weights", "list")).splitlines()
            if line.split()[:1] == ["acme/local"]
        }
        assert served == {old: False, workspace.current(): True}
        done(workspace.run("weights", "remove", "acme/local", "--revision", old))
        assert old not in done(workspace.run("weights", "list"))
        assert files_of(workspace.on_volume("acme/local") / workspace.current())["tokenizer.json"] == b"[]"
    finally:
        (workspace.local / "tokenizer.json").write_bytes(FILES["tokenizer.json"])


def test_what_is_removed_is_gone_with_what_was_on_its_way(workspace: Workspace) -> None:
    done(workspace.run("weights", "pull", "large"))
    half = workspace.plane.volume("trial-weights") / PARTIAL / "large" / COMMIT
    half.mkdir(parents=True, exist_ok=True)
    (half / "model.safetensors").write_bytes(b"half")
    assert done(workspace.run("weights", "remove", "large")) == f"removed large at {COMMIT}\n"
    assert not workspace.on_volume("large").exists()
    assert not half.exists()
    assert COMMIT not in done(workspace.run("weights", "list"))
    assert refused(workspace.run("weights", "remove", "large")) == "no weights of large are on trial-weights"


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_not_sent(workspace: Workspace, name: str) -> None:
    moved = workspace.local / f"{name}.away"
    (workspace.local / name).rename(moved)
    try:
        pulled = workspace.run("weights", "pull", "local")
    finally:
        moved.rename(workspace.local / name)
    missing = {"config.json": "no config.json", "model.safetensors": "no .safetensors file"}
    assert refused(pulled) == f"{workspace.local}: {missing[name]}"


def test_an_unknown_model_is_named_with_those_there_are(workspace: Workspace) -> None:
    said = refused(workspace.run("weights", "pull", "other"), exit_code=2)
    assert said == f"other: no model of {workspace.table} (large, acme/local)"


def test_an_app_that_is_not_deployed_is_one_line(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "penstock.toml"
    table.write_text(workspace.table.read_text().replace('"trial"', '"other"'))
    said = refused(penstock("weights", "pull", "large", "--config", table, **workspace.plane.environment))
    assert said.startswith("no app 'other' with pull_weights is deployed: run `modal deploy")


def test_an_empty_workspace_has_no_weights(workspace: Workspace, tmp_path: Path) -> None:
    table = tmp_path / "penstock.toml"
    table.write_text(workspace.table.read_text().replace('"trial-weights"', '"none"'))
    listed = done(penstock("weights", "list", "--config", table, **workspace.plane.environment))
    assert len([line for line in listed.splitlines() if line.strip()]) == 2
    assert "none" not in workspace.plane.state()["volumes"]


@pytest.mark.parametrize("command", [("weights", "list"), ("weights", "pull", "local"), ("deploy", "urls")])
def test_without_a_token_it_is_one_line(workspace: Workspace, command: tuple[str, ...]) -> None:
    environment = {
        name: value for name, value in workspace.plane.environment.items() if not name.startswith("MODAL_TOKEN")
    }
    assert not any(name.startswith("MODAL_TOKEN") for name in os.environ)
    said = refused(penstock(*command, "--config", workspace.table, **environment))
    assert said.startswith(
        "Modal takes no token from here (Token missing): run `modal token new`, or set MODAL_TOKEN_ID"
    )
