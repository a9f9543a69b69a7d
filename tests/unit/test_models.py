"""The table of served models: what is read, and how a mistake in it is reported."""

import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.models import TEXT_TOKENS, ConfigError, Embeddings, ModelTable, ServedModel, read_models
from penstock.prices import Price

DEMO = """
[models.demo]
aliases = ["penstock-demo"]
source = "weights"
context_length = 256
prices = [
  { effective = 2026-06-01, prompt = 0.2, cached_prompt = 0.1, completion = 0.4 },
  { effective = 2026-01-01, prompt = 0.1, cached_prompt = 0.05, completion = 0.2 },
]
"""
PRICE = "prices = [{ effective = 2026-01-01, prompt = 1, cached_prompt = 1, completion = 1 }]"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "penstock.toml"


def read(file: Path, text: str) -> ModelTable:
    file.write_text(text, encoding="utf-8")
    return read_models(file)


def refused(file: Path, text: str) -> str:
    """What is said of a wrong file: always one line, and always the file first."""
    with pytest.raises(ConfigError) as caught:
        read(file, text)
    said = str(caught.value)
    assert said.startswith(f"{file}: ")
    assert "\n" not in said
    return said.removeprefix(f"{file}: ")


def at(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000


# -- what is read


def test_a_model_answers_to_its_name_and_aliases(file: Path) -> None:
    table = read(file, DEMO)
    (demo,) = table.models
    assert table.get("demo") is table.get("penstock-demo") is demo
    assert table.get("Demo") is None


def test_the_models_keep_the_files_order(file: Path) -> None:
    table = read(file, "\n".join(f'[models.{name}]\nsource = "./x/y"\ncontext_length = 16\n{PRICE}' for name in "cab"))
    assert [model.name for model in table.models] == ["c", "a", "b"]


def test_a_folder_is_found_from_the_file_and_a_repository_left_alone(file: Path) -> None:
    repository = read(file, DEMO).get("demo")
    assert repository is not None
    assert repository.source == "weights"
    (file.parent / "weights").mkdir()
    folder = read(file, DEMO).get("demo")
    assert folder is not None
    assert folder.source == str((file.parent / "weights").resolve())


@pytest.mark.parametrize(
    ("when", "price"),
    [
        ("2025-12-31T23:59:59", None),
        ("2026-01-01T00:00:00", Price("2026-01-01", 100, 50, 200)),
        ("2026-05-31T23:59:59", Price("2026-01-01", 100, 50, 200)),
        ("2026-06-01T00:00:00", Price("2026-06-01", 200, 100, 400)),
        ("2030-01-01T00:00:00", Price("2026-06-01", 200, 100, 400)),
    ],
)
def test_a_price_holds_from_its_day_on_in_utc(file: Path, when: str, price: Price | None) -> None:
    demo = read(file, DEMO).get("demo")
    assert demo is not None
    assert demo.price_at(at(when)) == price


def test_a_batchs_lines_have_a_price_of_their_own(file: Path) -> None:
    demo = read(file, DEMO.replace("completion = 0.4 }", "completion = 0.4, batch = 0.25 }")).get("demo")
    assert demo is not None
    assert demo.price_at(at("2025-12-31T23:59:59"), batch=True) is None
    assert demo.price_at(at("2026-01-01T00:00:00"), batch=True) == Price("2026-01-01/batch", 100, 50, 200)
    assert demo.price_at(at("2026-06-01T00:00:00"), batch=True) == Price("2026-06-01/batch", 50, 25, 100)
    assert demo.price_at(at("2026-06-01T00:00:00")) == Price("2026-06-01", 200, 100, 400)


@given(st.integers(0, 10_000), st.integers(1, 100))
def test_the_prompts_bound_covers_the_bytes_and_the_template_within_the_context(prompt: int, messages: int) -> None:
    demo = ServedModel.model_validate(
        {"name": "demo", "source": "x", "context_length": 4_096, "prices": tomllib.loads(PRICE)["prices"]}
    )
    bound = demo.prompt_bound(prompt, messages)
    overhead = demo.template_tokens + messages * demo.template_tokens_per_message
    assert bound == demo.context_length or bound == prompt + overhead <= demo.context_length


def test_a_plain_text_has_no_template() -> None:
    demo = ServedModel.model_validate(
        {"name": "demo", "source": "x", "context_length": 64, "prices": tomllib.loads(PRICE)["prices"]}
    )
    assert [demo.prompt_bound(size, 0) for size in (0, 10, 100)] == [TEXT_TOKENS, 10 + TEXT_TOKENS, 64]


def test_what_a_model_serves(file: Path) -> None:
    demo = read(file, DEMO).get("demo")
    assert demo is not None
    assert (demo.chat, demo.completions, demo.embeddings, demo.quantization) == (True, True, None, "none")
    says = (
        'chat = false\ncompletions = false\nquantization = "int8"\nembeddings = { pooling = "mean", dimensions = [64] }'
    )
    embeds = read(file, DEMO.replace("context_length", f"{says}\ncontext_length")).get("demo")
    assert embeds is not None
    assert (embeds.chat, embeds.completions, embeds.quantization) == (False, False, "int8")
    assert embeds.embeddings == Embeddings(pooling="mean", dimensions=(64,))


COMMIT = "0123456789abcdef0123456789abcdef01234567"


def test_a_repository_of_the_hub_is_served_at_one_commit(file: Path) -> None:
    hub = DEMO.replace('source = "weights"', 'source = "acme/large"')
    assert "models.demo.revision: missing; 'acme/large' is no folder here" in refused(file, hub)
    pinned = read(file, hub.replace("context_length", f'revision = "{COMMIT}"\ncontext_length')).get("demo")
    assert pinned is not None
    assert (pinned.source, pinned.revision) == ("acme/large", COMMIT)
    (file.parent / "acme" / "large").mkdir(parents=True)
    assert read(file, hub).get("demo") is not None


def test_what_is_of_the_hub(file: Path) -> None:
    hub = DEMO.replace("weights", "acme/large").replace("context_length", f'revision = "{COMMIT}"\ncontext_length')
    pinned, folder = read(file, hub).get("demo"), read(file, DEMO).get("demo")
    assert pinned is not None
    assert folder is not None
    assert (pinned.of_hub, folder.of_hub) == (True, False)


def test_where_a_model_runs_is_a_table_of_its_own(file: Path) -> None:
    demo = read(file, DEMO + '[models.demo.modal]\ngpu = "L4"\ncpu = 0.5\n[deployment]\napp = "other"').get("demo")
    assert demo is not None
    assert (demo.modal.gpu, demo.modal.cpu) == (("L4",), 0.5)


@pytest.mark.parametrize("source", ["./acme/large", "../acme/large", "/acme/large", "a/b/c"])
def test_a_folder_may_be_elsewhere(file: Path, source: str) -> None:
    """The edge reads the table where no weights are."""
    demo = read(file, DEMO.replace("weights", source)).get("demo")
    assert demo is not None
    assert demo.source == source


# -- what is refused


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("context_length = 256", "", "models.demo.context_length: Field required"),
        ("context_length = 256", "context_length = 8", "models.demo.context_length: "),
        ("context_length = 256", 'context_length = "long"', "models.demo.context_length: "),
        ('source = "weights"', 'source = ""', "models.demo.source: "),
        ('source = "weights"', 'source = "weights"\nquantized = true', "models.demo.quantized: Extra inputs"),
        ('source = "weights"', 'source = "weights"\ndtype = "int3"', "models.demo.dtype: "),
        ('source = "weights"', 'source = "weights"\nname = "other"', "models.demo: "),
        ('source = "weights"', 'source = "weights"\nrevision = "main"', "models.demo.revision: "),
        ('source = "weights"', f'source = "weights"\nrevision = "{"A" * 40}"', "models.demo.revision: "),
        ('source = "weights"', 'source = "weights"\nquantization = "int4"', "models.demo.quantization: "),
        ('source = "weights"', 'source = "weights"\nembeddings = true', "models.demo.embeddings: "),
        ('source = "weights"', 'source = "weights"\nembeddings = {}', "models.demo.embeddings.pooling: Field"),
        (
            'source = "weights"',
            'source = "weights"\nembeddings = { pooling = "mean", dimensions = [0] }',
            "models.demo.embeddings.dimensions.0: ",
        ),
        (
            'source = "weights"',
            'source = "weights"\nchat = false\ncompletions = false',
            "models.demo: Value error, serves nothing",
        ),
        ("prompt = 0.2,", "prompt = 1001,", "models.demo.prices.0.prompt: "),
        ('["penstock-demo"]', '["ok", "with space"]', "models.demo.aliases.1: "),
        ('["penstock-demo"]', '"penstock-demo"', "models.demo.aliases: "),
        ('["penstock-demo"]', '["demo"]', "the model name 'demo' stands twice"),
        ("prompt = 0.2,", "", "models.demo.prices.0.prompt: Field required"),
        ("prompt = 0.2,", "prompt = -1,", "models.demo.prices.0.prompt: "),
        ("prompt = 0.2,", "prompt = nan,", "models.demo.prices.0.prompt: "),
        ("prompt = 0.2,", "prompt = inf,", "models.demo.prices.0.prompt: "),
        ("prompt = 0.2,", "prompt = 2000000,", "models.demo.prices.0.prompt: "),
        ("prompt = 0.2,", "prompt = 0.0001,", "0.0001 dollars per million tokens is not a multiple of 0.001"),
        ("prompt = 0.2,", "batch = 0, prompt = 0.2,", "models.demo.prices.0.batch: Input should be greater than 0"),
        ("prompt = 0.2,", "batch = 1.01, prompt = 0.2,", "models.demo.prices.0.batch: Input should be less than"),
        (
            "prompt = 0.2,",
            "batch = 0.123, prompt = 0.2,",
            "models.demo.prices.0: Value error, batch = 0.123 times the price: 24.6 nano-dollars per token",
        ),
        ("2026-06-01", "2026-01-01", "models.demo: Value error, two prices take effect on the same day"),
        ("2026-06-01", '"soon"', "models.demo.prices.0.effective: "),
        ("[models.demo]", "[models]\ndemo = 3\n[models.other]", "models.demo: must be a table"),
        ("[models.demo]", "[model.demo]", "model: unknown; only [deployment] and [models.NAME] tables are read"),
        (
            "[models.demo]",
            "[limits]\n[models.demo]",
            "limits: unknown; only [deployment] and [models.NAME] tables are read",
        ),
        ("context_length", "modal = { gpus = 1 }\ncontext_length", "models.demo.modal.gpus: Extra inputs"),
        ("context_length", "modal = { max_running = 0 }\ncontext_length", "models.demo.modal.max_running: "),
        ("[models.demo]", '[models."../demo"]', "models.../demo.name: "),
        ("[models.demo]", "[models.demo", "Expected ']'"),
    ],
)
def test_a_mistake_is_reported_with_its_place(file: Path, old: str, new: str, says: str) -> None:
    assert old in DEMO
    assert says in refused(file, DEMO.replace(old, new, 1))


def test_a_model_needs_a_price(file: Path) -> None:
    said = refused(file, '[models.demo]\nsource = "x"\ncontext_length = 16\nprices = []')
    assert said.startswith("models.demo.prices: ")


@pytest.mark.parametrize("text", ["", "models = 3", "[models]", "models = []"])
def test_a_file_without_a_model_is_refused(file: Path, text: str) -> None:
    assert refused(file, text) == "no [models.NAME] table"


def test_two_models_cannot_share_a_name(file: Path) -> None:
    other = DEMO.replace("[models.demo]", "[models.other]")
    assert refused(file, DEMO + other) == "the model name 'penstock-demo' stands twice"


def test_a_file_that_is_not_there_is_named(file: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_models(file)
    assert str(caught.value) == f"{file}: no such file"


def test_a_file_that_cannot_be_read_is_named(file: Path) -> None:
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="can't decode") as caught:
        read_models(file)
    assert str(caught.value).startswith(f"{file}: ")
    with pytest.raises(ConfigError, match="directory"):
        read_models(file.parent)
