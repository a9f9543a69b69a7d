"""Settings and the table, to how an engine is loaded."""

import subprocess
import sys
from pathlib import Path

import pytest

from functions.gpu.engine import ModelUnreadable, Pooling, PrefixCache, Quantization
from functions.gpu.engine_options import GIB, engine_options
from penstock.models import ServedModel
from penstock.settings import GpuSettings
from tests.integration.gpu.stand import TICKET_KEYS

PRICE = {"effective": "2026-01-01", "prompt": 1, "cached_prompt": 1, "completion": 1}


def settings_of(**values: object) -> GpuSettings:
    return GpuSettings(ledger_url="sqlite:///none.db", ticket_keys=TICKET_KEYS, model="demo", **values)  # type: ignore[arg-type]


def model_of(source: Path | str, **values: object) -> ServedModel:
    return ServedModel.model_validate(
        {"name": "demo", "source": str(source), "context_length": 4_096, "prices": [PRICE], **values}
    )


def test_what_is_set_is_what_the_engine_gets(tmp_path: Path) -> None:
    settings = settings_of(
        device="cuda",
        threads=3,
        max_waiting=7,
        max_running=5,
        step_tokens=99,
        stretch=3.5,
        kv_gib=0.5,
        prefix_cache="shared",
    )
    model = model_of(tmp_path, dtype="bfloat16", quantization="int8", embeddings={"pooling": "last"})
    options = engine_options(settings, model)
    assert (options.folder, options.dtype, options.device, options.threads) == (tmp_path, "bfloat16", "cuda", 3)
    assert (options.context_length, options.quantization, options.pooling) == (4_096, Quantization.INT8, Pooling.LAST)
    assert (options.queue_limit, options.max_running, options.step_tokens, options.stretch) == (7, 5, 99, 3.5)
    assert (options.kv_bytes, options.prefix_cache) == (GIB // 2, PrefixCache.SHARED)


def test_what_is_not_set_is_the_engines_choice(tmp_path: Path) -> None:
    options = engine_options(settings_of(), model_of(tmp_path))
    assert (options.device, options.threads, options.kv_bytes, options.pooling) == (None, None, None, None)


def test_where_weights_are_pulled_nothing_else_is_looked_at(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    settings = settings_of(weights=tmp_path / "weights")
    with pytest.raises(ModelUnreadable, match="penstock weights pull demo"):
        engine_options(settings, model_of(tmp_path / "source"))


def test_what_is_nowhere_is_not_downloaded_offline(tmp_path: Path) -> None:
    settings = settings_of(offline=True, model_cache=tmp_path)
    with pytest.raises(ModelUnreadable, match="nothing is fetched offline"):
        engine_options(settings, model_of("acme/model", revision="0" * 40))


def test_neither_a_ledger_nor_torch_is_imported_for_it() -> None:
    """What a process does before it is put to sleep opens no connection, and imports nothing that might."""
    look = (
        "import sys, functions.gpu.engine_options;"
        "print({'torch', 'transformers', 'aiobotocore', 'sqlalchemy', 'starlette'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
