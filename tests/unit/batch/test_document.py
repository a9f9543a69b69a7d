"""docs/batch.md shows lines that are good, and names every code that a line is refused with."""

import re
from pathlib import Path
from types import ModuleType

import orjson
import pytest

from functions.batch import joining, task, validation
from functions.batch.task import TaskReader
from penstock.models import ModelTable
from tests.unit.batch.inputs import CALLER, CHAT_URL, NOW, served
from tests.unit.repository.locks import ROOT

PAGE = (ROOT / "docs" / "batch.md").read_text(encoding="utf-8")


def test_the_lines_of_the_input_are_good() -> None:
    found = re.search(r"```jsonl\n(.*?)```", PAGE, re.DOTALL)
    assert found
    reader = TaskReader(CHAT_URL, CALLER, ModelTable([served("demo")]), max_body_bytes=4 << 20, now=NOW)
    lines = found[1].splitlines()
    assert [reader.read(number, line.encode()).number for number, line in enumerate(lines, 1)] == [1, 2]


def test_the_lines_of_results_are_json() -> None:
    for block in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL):
        for line in block.splitlines():
            assert isinstance(orjson.loads(line), dict)


@pytest.mark.parametrize("module", [task, validation, joining])
def test_every_code_is_told(module: ModuleType) -> None:
    source = Path(str(module.__file__)).read_text(encoding="utf-8")
    codes = set(re.findall(r'(?:code=|_end\(|InputError\(|return |LINE_FAILED = )"([a-z]+(?:_[a-z]+)+)"', source))
    assert codes
    assert not [code for code in codes if f"`{code}`" not in PAGE]


@pytest.mark.parametrize("number", [validation.MOST_LINES, task.MAX_CUSTOM_ID, task.EXPECTED_TOKENS])
def test_the_limits_are_those_of_the_code(number: int) -> None:
    assert f"{number:,}" in PAGE
