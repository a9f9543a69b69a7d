"""What is checked of a deployment on this machine: each mistake is found, and nothing else is."""

from pathlib import Path

import pytest

from penstock.deploy.check import HUB_SECRET, SECRET, check_edge, check_models, check_unasked
from penstock.deployment import Deployment
from tests.unit.deploy.table import COMMIT, PRICE, folder_of_a_model, model, table, wrongs

EDGE = {
    "PENSTOCK_LEDGER_URL": "dynamodb://penstock",
    "PENSTOCK_TICKET_KEYS": "a:" + "A" * 43 + "=",
    "PENSTOCK_GPU_URL": '{"demo": "https://demo.example"}',
    "PENSTOCK_GPU_KEY": "wk-a",
    "PENSTOCK_GPU_SECRET": "ws-a",
}


def check(tmp_path: Path, text: str) -> list[str]:
    file, models = table(tmp_path, text)
    return wrongs(check_models(file, models.models))


def test_a_table_that_can_be_deployed_has_nothing_wrong(tmp_path: Path) -> None:
    folder_of_a_model(tmp_path / "demo")
    hub = model("qwen", "acme/large", f'revision = "{COMMIT}"\nmodal = {{ gpu = ["L4", "T4"] }}')
    file, models = table(tmp_path, model() + hub)
    said = list(check_models(file, models.models))
    assert {each.state for each in said} == {"right"}
    lines = [each.what for each in said]
    assert f"qwen: acme/large at {COMMIT}" in lines
    assert "qwen: L4 or T4, 0 to 1 containers, 64 answers at once in each" in lines
    assert "demo: CPU only, 0 to 1 containers, 64 answers at once in each" in lines
    assert f"demo: 2 files in {tmp_path / 'demo'}" in lines


def test_a_price_that_is_not_yet_in_force(tmp_path: Path) -> None:
    folder_of_a_model(tmp_path / "demo")
    assert check(tmp_path, model(price=PRICE.replace("2026", "9999"))) == [
        "demo: no price is in force before 9999-01-01 | add one from a day that has come (UTC)"
    ]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    assert check(tmp_path, model()) == ["demo: demo: no such folder | its weights are sent from this folder"]


@pytest.mark.parametrize(
    ("away", "says"), [("config.json", "no config.json"), ("model.safetensors", "no .safetensors file")]
)
def test_a_folder_that_is_no_model(tmp_path: Path, away: str, says: str) -> None:
    folder = folder_of_a_model(tmp_path / "demo")
    (folder / away).unlink()
    assert check(tmp_path, model()) == [f"demo: {folder}: {says} | its weights are sent from this folder"]


@pytest.mark.parametrize("more", ["", f'revision = "{COMMIT}"'])
def test_a_folder_that_would_be_a_repository_in_a_container(tmp_path: Path, more: str) -> None:
    folder_of_a_model(tmp_path / "acme" / "large")
    assert check(tmp_path, model(source="acme/large", more=more)) == [
        "demo: acme/large is a folder here, and where it is not, a repository of the hub | write ./acme/large"
    ]


def test_two_models_that_would_be_one_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """24 bits of a hash can collide; here they always do."""
    folder_of_a_model(tmp_path / "demo")
    monkeypatch.setattr("penstock.deploy.check.class_name", lambda kind, _: f"{kind}_same")
    assert check(tmp_path, model("a") + model("b")) == ["two models would be the class Gate_same | rename one of them"]


def test_what_only_modal_knows_is_listed_with_what_makes_it_so(tmp_path: Path) -> None:
    _, models = table(tmp_path, model(more='modal = { gpu = "L4" }'))
    deployment = Deployment(secret="gpu", hub_secret="hub")
    said = [(each.state, each.what, each.mend) for each in check_unasked(deployment, models.models)]
    assert {state for state, _, _ in said} == {"unknown"}
    text = "\n".join(f"{what} {mend}" for _, what, mend in said)
    assert all(f"{variable}=..." in text for variable in (*SECRET, *HUB_SECRET))
    assert "modal secret create gpu " in text
    assert "modal secret create hub " in text
    assert "penstock weights pull demo" in text
    assert "Modal has L4" in text


def edge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deployment: Deployment, **changes: str | None) -> list[str]:
    for name, value in (EDGE | changes).items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    _, models = table(tmp_path, model())
    return wrongs(check_edge(deployment, models))


def test_an_edge_that_is_set_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert edge(tmp_path, monkeypatch, Deployment()) == []


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"PENSTOCK_LEDGER_URL": None}, "the edge's settings: PENSTOCK_LEDGER_URL: Field required"),
        ({"PENSTOCK_GPU_URL": '{"other": "https://x.example"}'}, "the edge's settings: PENSTOCK_GPU_URL: "),
        ({"PENSTOCK_GPU_KEY": None}, "the edge's settings: "),
        (
            {"PENSTOCK_GPU_KEY": None, "PENSTOCK_GPU_SECRET": None},
            "PENSTOCK_GPU_KEY and PENSTOCK_GPU_SECRET are not set",
        ),
    ],
)
def test_an_edge_that_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, str | None], says: str
) -> None:
    (said,) = edge(tmp_path, monkeypatch, Deployment(), **changes)
    assert said.startswith(says)
    assert "ws-a" not in said


def test_direct_delivery_needs_the_public_url_and_no_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct = Deployment(delivery="direct")
    none = {"PENSTOCK_GPU_KEY": None, "PENSTOCK_GPU_SECRET": None}
    (said,) = edge(tmp_path, monkeypatch, direct, **none)
    assert said.startswith("PENSTOCK_GPU_PUBLIC_URL is not set")
    public = {"PENSTOCK_GPU_PUBLIC_URL": EDGE["PENSTOCK_GPU_URL"]}
    assert edge(tmp_path, monkeypatch, direct, **none, **public) == []
