"""Which model is served, and the table that both processes read."""

import json
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.cli.failure import Failure
from penstock.cli.serving.model import choose, table_of
from penstock.clock import now_ms
from penstock.models import ModelTable, ServedModel, read_models
from penstock.prices import Price

FREE = {"effective": "1970-01-01", "prompt": 0, "cached_prompt": 0, "completion": 0}
NOTHING = Price("1970-01-01", 0, 0, 0)


def served(**fields: Any) -> ServedModel:
    return ServedModel.model_validate(
        {"name": "m", "source": "org/m", "context_length": 64, "prices": [FREE], **fields}
    )


def model_folder(folder: Path, config: object) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def test_the_first_of_the_table_unless_another_is_named(tmp_path: Path) -> None:
    table = ModelTable(served(name=name, aliases=(f"{name}-alias",), source=str(tmp_path)) for name in ("one", "two"))
    assert choose(None, table).model.name == "one"
    assert choose("two", table).model.name == "two"
    assert choose("two-alias", table).model.name == "two"
    assert choose("two", table).listed


def test_a_folder_is_served_for_nothing_and_at_its_own_length(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "My model!", {"max_position_embeddings": 128})
    choice = choose(str(folder), ModelTable([]))
    assert not choice.listed
    assert choice.model.name == "My-model"
    assert choice.model.source == str(folder)
    assert choice.model.context_length == 128
    assert choice.model.price_at(now_ms()) == NOTHING


def test_a_model_of_text_and_images_says_its_length_elsewhere(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", {"text_config": {"max_position_embeddings": 77}})
    assert choose(str(folder), ModelTable([])).model.context_length == 77


def test_a_long_template_widens_the_bound(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", {"max_position_embeddings": 4096})
    assert choose(str(folder), ModelTable([])).model.template_tokens == 256
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "x" * 1000}))
    assert choose(str(folder), ModelTable([])).model.template_tokens >= 1000
    (folder / "chat_template.jinja").write_text("x" * 2000)
    assert choose(str(folder), ModelTable([])).model.template_tokens == 2000


def test_a_model_chats_if_it_has_a_template(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m", {"max_position_embeddings": 128})
    assert not choose(str(folder), ModelTable([])).model.chat
    for config in ({}, {"chat_template": None}):
        (folder / "tokenizer_config.json").write_text(json.dumps(config))
        assert not choose(str(folder), ModelTable([])).model.chat
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    choice = choose(str(folder), ModelTable([]))
    assert choice.model.chat
    assert choice.model.completions


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("not JSON", "config.json"),
        ("[]", "not a JSON object"),
        ("{}", "gives no max_position_embeddings"),
        ('{"text_config": 5}', "gives no max_position_embeddings"),
        ('{"max_position_embeddings": 3}', "context_length"),
    ],
)
def test_a_folder_that_is_no_model_is_one_line(tmp_path: Path, config: str, said: str) -> None:
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(Failure, match=said) as refused:
        choose(str(tmp_path), ModelTable([]))
    assert "\n" not in str(refused.value)


def test_an_empty_folder_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"config\.json: No such file"):
        choose(str(tmp_path), ModelTable([]))


@pytest.mark.parametrize("wanted", ["nothing", "./org/name", "a/b/c", "org/name@"])
def test_what_is_nothing_names_what_there_is(wanted: str) -> None:
    with pytest.raises(Failure, match=r"neither a model of penstock\.toml \(one, two\), a folder, nor"):
        choose(wanted, ModelTable([served(name="one"), served(name="two")]))


def test_the_hub_gives_a_folder_and_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commit = "0123456789abcdef0123456789abcdef01234567"
    snapshot = model_folder(tmp_path / commit, {"max_position_embeddings": 128})
    asked: list[tuple[str, str | None]] = []

    def download(repository: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        assert "*.safetensors" in allow_patterns
        asked.append((repository, revision))
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    choice = choose("org/name@v1", ModelTable([]))
    assert (choice.model.name, choice.model.source, choice.model.revision) == ("org/name", str(snapshot), commit)
    listed = choose("m", ModelTable([served(revision=commit)])).model
    assert (listed.name, listed.source) == ("m", str(snapshot))
    assert asked == [("org/name", "v1"), ("org/m", commit)]


def test_offline_and_not_in_the_cache_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(Failure, match=r"^--model org/name: ") as refused:
        choose("org/name", ModelTable([]))
    assert "\n" not in str(refused.value)


@given(
    aliases=st.lists(st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,20}", fullmatch=True), unique=True, max_size=3),
    source=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1),
    prompt=st.decimals(0, 1000, places=3),
    context_length=st.integers(16, 10_000_000),
    chat=st.booleans(),
    quantization=st.sampled_from(["none", "int8"]),
    embeddings=st.none()
    | st.fixed_dictionaries(
        {"pooling": st.sampled_from(["mean", "last"]), "dimensions": st.lists(st.integers(1, 65_536), max_size=3)}
    ),
)
def test_the_table_reads_back_as_it_was_written(tmp_path_factory: pytest.TempPathFactory, **fields: Any) -> None:
    prices = [{**FREE, "prompt": fields.pop("prompt"), "effective": "2026-02-28"}, FREE]
    model = served(**fields, name="a.b/c", prices=prices, revision="0" * 40)
    file = tmp_path_factory.mktemp("table") / "penstock.toml"
    file.write_text(table_of(model), encoding="utf-8")
    read = read_models(file).get("a.b/c")
    assert read is not None
    assert read.model_copy(update={"source": model.source}) == model
