"""The documents: every path and script they name is there."""

import re
from pathlib import Path

import pytest

from tests.unit.repository.locks import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
PLACES = ("*", "docs/**/*", "models/*", "benchmarks/*", "tests/servers/*")
DOCUMENTS = [path for place in PLACES for path in ROOT.glob(f"{place}.md")]


def layout() -> list[str]:
    """The paths of README's layout, nested ones under their folder."""
    block = re.search(r"^## Layout\n+```\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    assert block is not None
    paths, folder = [], ""
    for line in block[1].splitlines():
        name = line.split()[0]
        folder = folder if line.startswith(" ") else name
        paths.append(folder + name if line.startswith(" ") else name)
    return paths


@pytest.mark.parametrize("path", layout())
def test_the_layout_is_what_is_there(path: str) -> None:
    assert (ROOT / path).is_dir() if path.endswith("/") else (ROOT / path).is_file()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_inside_the_repository_leads_somewhere(document: Path) -> None:
    links = re.findall(r"\]\(([^)\s]+)\)", document.read_text(encoding="utf-8"))
    inside = [link.partition("#")[0] for link in links if "://" not in link and not link.startswith("#")]
    assert [link for link in inside if not (document.parent / link).exists()] == []


def test_every_script_has_its_line_and_every_named_script_exists() -> None:
    named = set(re.findall(r"\bscripts/([a-z]+)", README))
    scripts = {path.name for path in (ROOT / "scripts").iterdir()}
    assert named <= scripts
    (line,) = [line for line in README.splitlines() if line.startswith("scripts/ ")]
    assert scripts == set(line.removeprefix("scripts/").replace(",", " ").split())
