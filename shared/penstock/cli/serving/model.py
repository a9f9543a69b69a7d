"""The model that `penstock serve` serves: one of the table, a folder, or a repository of the hub."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from penstock.cli.failure import Failure
from penstock.models import ModelTable, ServedModel

_HUB_ID = re.compile(r"(?P<id>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")
_WANTED_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
_FREE = {"effective": date(1970, 1, 1), "prompt": 0, "cached_prompt": 0, "completion": 0}


@dataclass(frozen=True, slots=True)
class Choice:
    """A model whose `source` is a folder of this machine, and whether it stands in penstock.toml."""

    model: ServedModel
    listed: bool


def choose(wanted: str | None, table: ModelTable) -> Choice:
    """The wanted model: a name or alias of the table (None: its first), a folder, or `org/name[@revision]`.

    What the hub has is downloaded, or taken from its cache. Raises Failure.
    """
    listed = table.models[0] if wanted is None else table.get(wanted)
    if listed is not None:
        return Choice(_local(listed), listed=True)
    folder = Path(str(wanted))
    hub = _HUB_ID.fullmatch(str(wanted))
    if folder.is_dir():
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", folder.resolve().name).strip("-._") or "model"
        return Choice(_unlisted(name[:128], folder.resolve(), None), listed=False)
    if hub is None or str(wanted).startswith("."):
        names = ", ".join(model.name for model in table.models)
        raise Failure(
            f"--model {wanted}: neither a model of penstock.toml ({names}), a folder, nor org/name of the hub"
        )
    snapshot = _download(hub["id"], hub["revision"])
    return Choice(_unlisted(hub["id"], snapshot, snapshot.name), listed=False)


def _local(model: ServedModel) -> ServedModel:
    if Path(model.source).is_dir():
        return model
    return model.model_copy(update={"source": str(_download(model.source, model.revision))})


def _download(repository: str, revision: str | None) -> Path:
    """The folder of one commit of a repository; the folder's name is the commit."""
    try:
        from huggingface_hub import snapshot_download  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Failure("a model of the hub needs huggingface_hub: install the `gpu` extra") from error
    import httpx2  # noqa: PLC0415

    try:
        return Path(snapshot_download(repository, revision=revision, allow_patterns=_WANTED_FILES))
    except (OSError, ValueError, httpx2.HTTPError) as error:
        reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise Failure(f"--model {repository}: {reason}") from error


def _unlisted(name: str, folder: Path, revision: str | None) -> ServedModel:
    """A model as the table would list it, free of charge. Its own configuration says how much it reads."""
    config = _read_json(folder / "config.json")
    of_text = config.get("text_config")
    sizes = of_text if isinstance(of_text, dict) else config  # a model of text and images says it there
    context = sizes.get("max_position_embeddings")
    if not isinstance(context, int):
        raise Failure(f"--model {folder}: config.json gives no max_position_embeddings")
    template = _template(folder)
    least = ServedModel.model_fields["template_tokens"].default
    fields = {
        "name": name,
        "source": str(folder),
        "revision": revision,
        "context_length": context,
        "chat": template is not None,
        # A template may add a text of its own; what it can add is seldom longer than itself.
        "template_tokens": max(least, min(len((template or "").encode()), 16_384)),
        "prices": [_FREE],
    }
    try:
        return ServedModel.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise Failure(f"--model {folder}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def _template(folder: Path) -> str | None:
    """The chat template, or several by name as JSON; None where the model has none."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return _read_text(file)
    if not (folder / "tokenizer_config.json").is_file():
        return None
    template = _read_json(folder / "tokenizer_config.json").get("chat_template")
    return json.dumps(template) if template else None


def _read_text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from error


def _read_json(file: Path) -> dict[str, Any]:
    try:
        value = json.loads(_read_text(file))
    except ValueError as error:
        raise _unreadable(file, error) from error
    if not isinstance(value, dict):
        raise Failure(f"the model cannot be read: {file}: not a JSON object")
    return value


def _unreadable(file: Path, error: OSError | ValueError) -> Failure:
    reason = error.strerror if isinstance(error, OSError) else error
    return Failure(f"the model cannot be read: {file}: {reason}")


def table_of(model: ServedModel) -> str:
    """A penstock.toml with this one model: what both processes read, so that the edge offers no other."""
    fields = model.model_dump(exclude={"name"}, exclude_none=True)
    lines = [f"{field} = {_toml(value)}" for field, value in fields.items()]
    return "\n".join([f"[models.{_toml(model.name)}]", *lines, ""])


def _toml(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, Mapping):
        return f"{{ {', '.join(f'{key} = {_toml(item)}' for key, item in value.items())} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_toml, value))}]"
    return str(value)  # integers, and dates in ISO 8601
