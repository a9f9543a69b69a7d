"""Tables of models for the checks, and what a check says of one."""

from collections.abc import Iterable
from pathlib import Path

from penstock.deploy.finding import Finding
from penstock.models import ModelTable, read_models

PRICE = "prices = [{ effective = 2026-01-01, prompt = 1, cached_prompt = 1, completion = 1 }]"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


def table(folder: Path, text: str) -> tuple[Path, ModelTable]:
    """A penstock.toml of that text in the folder, and what is read from it."""
    file = folder / "penstock.toml"
    file.write_text(text, encoding="utf-8")
    return file, read_models(file)


def model(name: str = "demo", source: str = "./demo", more: str = "", price: str = PRICE) -> str:
    """One model's table."""
    return f'[models."{name}"]\nsource = "{source}"\ncontext_length = 64\n{price}\n{more}\n'


def folder_of_a_model(folder: Path) -> Path:
    """A folder with the least that looks like a model."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def wrongs(findings: Iterable[Finding]) -> list[str]:
    """What is wrong, with how to mend it."""
    return [f"{each.what} | {each.mend}" for each in findings if each.state == "wrong"]
