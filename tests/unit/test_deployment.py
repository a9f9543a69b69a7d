"""The deployment's table, and the names of its classes."""

from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.deployment import LONGEST_CLASS_NAME, ClassKind, Deployment, class_name, read_deployment
from penstock.models import ConfigError

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,127}", fullmatch=True)
MODELS = "[models.demo]\nsource = './x'\n"


def test_without_a_table_the_usual_names_hold(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(MODELS)
    assert read_deployment(file) == Deployment()
    assert read_deployment(file).delivery == "relay"


def test_a_table_is_read(tmp_path: Path) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text('[deployment]\napp = "trial"\nhub_secret = "hub"\ndelivery = "direct"\n' + MODELS)
    assert read_deployment(file) == Deployment(app="trial", hub_secret="hub", delivery="direct")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[deployment]\napp = ''", "deployment.app: "),
        ("[deployment]\napp = 'a b'", "deployment.app: "),
        (f"[deployment]\nvolume = '{'v' * 65}'", "deployment.volume: "),
        ("[deployment]\ndelivery = 'mail'", "deployment.delivery: "),
        ("[deployment]\nregion = 'EU'", "deployment.region: "),
        ("[deployment]\ntoken = 'x'", "deployment.token: Extra inputs"),
        ("deployment = 3", "deployment: Input should be"),
        ("[deploy]", "deploy: unknown; only [deployment] and [models.NAME] tables are read"),
    ],
)
def test_a_mistake_is_one_line_with_its_place(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "penstock.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_deployment(file)
    assert str(caught.value).startswith(f"{file}: {says}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("demo", "Gate_demo"),
        ("demo_2", "Gate_demo_2"),
        ("Qwen/Qwen3-0.6B", "Gate_Qwen_Qwen3_0_6B_fb68f5"),
        ("a-b", "Gate_a_b_d44362"),
    ],
)
def test_the_name_of_a_deployed_class_never_changes(model: str, name: str) -> None:
    assert class_name("Gate", model) == name


def test_names_that_differ_in_little_are_different_classes() -> None:
    close = ["a_b", "a-b", "a.b", "a/b", "a:b", "A_b", "x" * 128, "x" * 127]
    close += [class_name("Gate", name).removeprefix("Gate_") for name in close]
    models = set(close)
    assert len({class_name("Gate", model) for model in models}) == len(models)


@given(st.sets(NAMES, min_size=2, max_size=8))
def test_no_two_models_share_a_class_and_modal_takes_the_name(models: set[str]) -> None:
    names = [class_name(kind, model) for kind in get_args(ClassKind) for model in models]
    assert len(set(names)) == len(names)
    assert all(name.isidentifier() and len(name) <= LONGEST_CLASS_NAME for name in names)
