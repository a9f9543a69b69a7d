"""What the batch's tests have in common: two models, a caller, a batch, and lines of its input."""

from pathlib import Path
from typing import Any

import orjson

from penstock.batches.records import Batch
from penstock.ledger.records import Account, Caller, Key
from penstock.models import ModelTable, ServedModel
from penstock.settings import BatchSettings

NOW = 1_772_000_000_000
CHAT_URL = "/v1/chat/completions"
BATCH = Batch(
    id="batch_1",
    account_id="acme",
    key_id="acme-key",
    endpoint=CHAT_URL,
    input_file_id="file-1",
    input_address="files/acme/file-1",
    window_s=86_400,
    created_at=NOW,
    expires_at=NOW + 86_400_000,
    output_address="files/acme/file-2",
    error_address="files/acme/file-3",
)
CALLER = Caller(Account("acme", "Acme", 0), Key("acme-key", "acme", "one", "0" * 64, 0))


def served(name: str, **fields: object) -> ServedModel:
    """A model of the table."""
    prices = [
        {"effective": "2026-01-01", "prompt": "1", "cached_prompt": "1", "completion": "1", "batch": "0.5"},
    ]
    return ServedModel.model_validate(
        {"name": name, "source": "x", "context_length": 4_096, "prices": prices, **fields}
    )


TALKER = served("talker", aliases=["small"])
OTHER = served("other")
EMBEDDER = served("embedder", chat=False, completions=False, embeddings={"pooling": "mean"})
MODELS = ModelTable([TALKER, OTHER, EMBEDDER])


def settings(folder: Path, **changes: Any) -> BatchSettings:
    """The batch functions' settings; objects are kept in the folder."""
    return BatchSettings(ledger_url=f"sqlite:///{folder}/ledger.db", objects_url=f"file://{folder}/objects", **changes)


def chat(content: str = "Hello", **changes: Any) -> dict[str, Any]:
    """The body of a chat completion's request."""
    return {"model": "talker", "messages": [{"role": "user", "content": content}], "max_tokens": 8, **changes}


def line(custom_id: str = "one", **changes: Any) -> bytes:
    """A line of an input: of a chat completion, unless it is said otherwise."""
    return orjson.dumps({"custom_id": custom_id, "method": "POST", "url": CHAT_URL, "body": chat(), **changes})
