"""`python -m benchmarks.gpu --quick --device cpu` runs every section, and the engine is right. No time is judged.

On a GPU the same script does the same; what it says there no test can say here.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from benchmarks.engine.shapes import LLAMA_8B
from benchmarks.gpu.lengths import MEAN_NEW, MEAN_PROMPT, sharegpt_like

ROOT = Path(__file__).parents[3]
PATIENCE = 240  # seconds
FAMILIES = ("llama", "qwen3", "mistral", "gemma3")
SECTIONS = [*(f"correctness: {name}" for name in FAMILIES), "setup", "offline", "online", "decode", "alone"]
Lines = dict[str, list[dict[str, Any]]]


@pytest.fixture(scope="module")
def sections() -> Lines:
    arguments = [sys.executable, "-m", "benchmarks.gpu", "--quick", "--device", "cpu"]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    found: Lines = {}
    for line in map(json.loads, done.stdout.splitlines()):
        found.setdefault(line.pop("section"), []).append(line)
    return found


def test_every_section_is_there_in_its_order(sections: Lines) -> None:
    assert list(sections) == SECTIONS
    assert not [line for lines in sections.values() for line in lines if "error" in line]
    assert all("seconds" in lines[-1] for lines in sections.values())


@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_answers_are_those_of_generate(sections: Lines, family: str) -> None:
    lines = {line["how"]: line for line in sections[f"correctness: {family}"] if line.get("dtype") == "float32"}
    assert list(lines) == ["room for all", "prompts in pieces", "few pages"]
    for line in lines.values():
        assert line["same"] == line["of"] == line["different_answers"]
    assert lines["room for all"]["preemptions"] == 0
    assert lines["few pages"]["preemptions"] > 0


@pytest.mark.parametrize("family", FAMILIES)
def test_bfloat16_is_as_close_as_transformers_own(sections: Lines, family: str) -> None:
    [line] = [line for line in sections[f"correctness: {family}"] if line.get("dtype") == "bfloat16"]
    assert line["right"] is True
    assert line["graphs"] is False  # there are none on a CPU
    assert line["transformers_apart"] > 0


def test_the_speeds_are_all_there(sections: Lines) -> None:
    [offline] = sections["offline"][:-1]
    assert offline["finished"] == offline["requests"] == 6
    assert offline["tokens_per_s"] > 0
    assert offline["published_tokens_per_s"] == {"vLLM": 12_553, "SGLang": 16_215}
    assert [(line["at_once"], line["requests"]) for line in sections["online"][:-1]] == [(1, 2), (3, 6)]
    ceilings, made = sections["setup"][:-1]
    assert min(ceilings["bytes_per_s"], ceilings["bfloat16_operations_per_s"], made["kv_tokens"]) > 0
    steps = sections["decode"][:-1]
    assert [(line["rows"], line["sampling"]) for line in steps] == [(1, "greedy"), (4, "greedy"), (4, "full")]
    assert all(line["step_ms"] > 0 and line["floor_by_bytes_ms"] > 0 for line in steps)


def test_the_engine_is_imported_without_llguidance() -> None:
    hidden = "import sys; from importlib.machinery import PathFinder; find = PathFinder.find_spec\n"
    hidden += "PathFinder.find_spec = lambda name, *rest: None if 'llguidance' in name else find(name, *rest)\n"
    program = f"{hidden}import benchmarks.gpu.bare, functions.gpu.engine.engine"
    arguments = [sys.executable, "-c", program]
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert done.returncode == 0, done.stderr


def test_lengths_are_like_those_that_are_published() -> None:
    requests = sharegpt_like(4_000, range(100), longest=10**6)
    assert sum(len(request.prompt) for request in requests) / 4_000 == pytest.approx(MEAN_PROMPT, rel=0.1)
    assert sum(request.new for request in requests) / 4_000 == pytest.approx(MEAN_NEW, rel=0.1)


def test_lengths_are_cut_and_repeatable() -> None:
    requests = sharegpt_like(500, range(100), longest=1_024)
    assert requests == sharegpt_like(500, range(100), longest=1_024)
    assert max(len(request.prompt) for request in requests) <= 1_024
    assert min(request.new for request in requests) >= 4


def test_the_large_shape_has_eight_billion_weights() -> None:
    shape = LLAMA_8B
    attention = 2 * shape.hidden * shape.head_dim * (shape.heads + shape.kv_heads)
    weights = shape.layers * (attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden)
    weights += 2 * shape.vocabulary * shape.hidden + shape.hidden
    assert weights == 8_030_261_248  # as the model's card counts them
