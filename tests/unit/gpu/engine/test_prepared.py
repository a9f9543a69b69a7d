"""An engine in two halves: what is left between them, and that the second makes the engine that one load makes."""

import asyncio
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import torch

from functions.gpu.engine import load_engine, prepare_engine
from functions.gpu.engine.engine import ContinuousEngine
from functions.gpu.engine.options import EngineOptions, Quantization
from functions.gpu.engine.prepared import PreparedEngine
from functions.gpu.engine.protocol import GrammarKind, GrammarSpec, ModelUnreadable, Sampling
from tests.tiny_model import make_tiny_model
from tests.unit.gpu.engine.lineup import CONFIGS, make_model
from tests.unit.gpu.engine.transcripts import Transcript, collect

pytestmark = pytest.mark.anyio

PROMPT = [40, 41, 42, 43, 44]
GREEDY = Sampling(max_tokens=24, temperature=0, logprobs=0)


async def answer(engine: ContinuousEngine) -> Transcript:
    """What it says, to the end of the engine."""
    try:
        return await collect(engine.generate([PROMPT], GREEDY))
    finally:
        await engine.close()


async def prepared_answer(options: EngineOptions) -> Transcript:
    prepared = await asyncio.to_thread(prepare_engine, options)
    return await answer(await asyncio.to_thread(prepared.start))


async def loaded_answer(options: EngineOptions) -> Transcript:
    return await answer(await asyncio.to_thread(load_engine, options))


def children() -> set[str]:
    """Ids of this process's children."""
    return {pid for task in Path("/proc/self/task").iterdir() for pid in (task / "children").read_text().split()}


def open_files() -> set[str]:
    """What this process has open, but for what looks at it."""
    found = set()
    for descriptor in Path("/proc/self/fd").iterdir():
        if descriptor.is_symlink():
            found.add(str(descriptor.readlink()))
    return {name for name in found if not name.startswith("/proc/")}


@pytest.mark.parametrize("family", CONFIGS)
@pytest.mark.parametrize("quantization", Quantization)
async def test_a_prepared_engine_answers_as_a_loaded_one(
    tmp_path: Path, family: str, quantization: Quantization
) -> None:
    make_tiny_model(tmp_path, config=CONFIGS[family])
    options = EngineOptions(tmp_path, device="cpu", quantization=quantization)
    expected = await loaded_answer(options)
    assert expected.tokens
    assert await prepared_answer(options) == expected


@pytest.mark.parametrize("quantization", Quantization)
def test_nothing_runs_and_nothing_is_open_between_the_halves(
    tiny_folder: Path, tmp_path: Path, quantization: Quantization
) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "own")  # the other is in the memory of other tests' models
    threads, before, files = set(threading.enumerate()), children(), open_files()
    prepared = prepare_engine(EngineOptions(folder, device="cpu", quantization=quantization))
    # What other tests have left may end meanwhile.
    assert set(threading.enumerate()) <= threads
    assert children() <= before
    assert open_files() <= files
    assert str(folder) not in Path("/proc/self/maps").read_text()
    assert prepared._grammars._vocabulary is not None
    assert prepared._grammars._trial._process is None


async def test_the_folder_is_not_read_again_once_it_is_prepared(tiny_folder: Path, tmp_path: Path) -> None:
    """Weights that were only mapped would be zeros now."""
    expected = await loaded_answer(EngineOptions(tiny_folder, device="cpu"))
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    prepared = prepare_engine(EngineOptions(folder, device="cpu"))
    with (folder / "model.safetensors").open("r+b") as weights:
        weights.write(bytes(os.fstat(weights.fileno()).st_size))
    shutil.rmtree(folder)
    engine = prepared.start()
    await engine.compile(GrammarSpec(GrammarKind.JSON_OBJECT))
    assert await answer(engine) == expected


def prepared_for_cuda(folder: Path, **options: object) -> PreparedEngine:
    return prepare_engine(EngineOptions(folder, device="cuda", **options))  # type: ignore[arg-type]


@pytest.mark.parametrize("quantization", Quantization)
def test_a_device_that_never_comes_is_one_line(
    tiny_folder: Path, quantization: Quantization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    prepared = prepared_for_cuda(tiny_folder, quantization=quantization)
    with pytest.raises(ModelUnreadable) as caught:
        prepared.start()
    assert str(caught.value) == f"{tiny_folder}: device: there is no CUDA device"


@pytest.mark.parametrize("said", ["bfloat16", "float32"])
def test_the_dtype_is_that_of_the_device_to_come(tmp_path: Path, said: str) -> None:
    """`auto` is the weights' own on a GPU."""
    model = make_model("llama").to(getattr(torch, said))
    make_tiny_model(tmp_path)
    model.save_pretrained(tmp_path)
    assert prepared_for_cuda(tmp_path)._read.model.dtype == getattr(torch, said)
    assert prepare_engine(EngineOptions(tmp_path, device="cpu"))._read.model.dtype == torch.float32


def test_weights_in_8_bits_go_to_a_device_as_they_are(tiny_folder: Path) -> None:
    """To one that has no memory, here: their parts go with them, and none is widened."""
    prepared = prepared_for_cuda(tiny_folder, quantization=Quantization.INT8)
    model = prepared._read.model.to("meta")
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}
    weight = model.model.layers[0].mlp.up_proj.weight
    assert (weight.qdata.dtype, weight.qdata.device.type, weight.scale.device.type) == (torch.int8, "meta", "meta")


def test_a_device_must_be_named_before_it_is_there(tiny_folder: Path) -> None:
    with pytest.raises(ValueError, match=r"^device is None: "):
        prepare_engine(EngineOptions(tiny_folder))


def test_what_is_wrong_with_a_folder_is_found_before_there_is_a_device(tiny_folder: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_folder, tmp_path / "model")
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelUnreadable, match=r"weights: no model\.safetensors"):
        prepared_for_cuda(folder)


def test_where_the_time_went_is_known_of_both_halves(tiny_folder: Path) -> None:
    prepared = prepare_engine(EngineOptions(tiny_folder, device="cpu"))
    assert set(prepared._read.load_seconds) == {"imports", "config", "tokenizer", "weights", "grammar"}
    engine = prepared.start()
    assert set(engine.load_seconds) - set(prepared._read.load_seconds) == set()
    asyncio.run(engine.close())


NEVER_ASKED = """
import sys
from pathlib import Path
import torch
asked = []
for name in ("is_available", "device_count", "_lazy_init"):  # what looks for a device goes through one of these
    setattr(torch.cuda, name, lambda name=name: asked.append(name))
from functions.gpu.engine import EngineOptions, ModelUnreadable, Quantization, prepare_engine
prepared = prepare_engine(EngineOptions(Path(sys.argv[1]), device="cuda", quantization=Quantization.INT8))
assert asked == [], asked
try:
    prepared.start()
except ModelUnreadable:
    pass
assert asked == ["is_available"], asked
"""


def test_cuda_is_not_asked_before_the_device_is_there(tiny_folder: Path) -> None:
    """In a process of its own, for torchao asks where it is imported first, and says what it thinks of the answer."""
    done = subprocess.run([sys.executable, "-c", NEVER_ASKED, tiny_folder], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.gpu
@pytest.mark.parametrize("quantization", ["none", "int8"])
def test_a_device_that_comes_between_the_halves_is_used(tiny_folder: Path, quantization: str) -> None:
    """As after a snapshot: CUDA sees no device until the engine is prepared."""
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    program = (
        "import asyncio, os, sys\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = ''\n"
        "from pathlib import Path\n"
        "from functions.gpu.engine import EngineOptions, Quantization, Sampling, prepare_engine\n"
        "options = EngineOptions(Path(sys.argv[1]), device='cuda', dtype='bfloat16', "
        "quantization=Quantization(sys.argv[2]))\n"
        "prepared = prepare_engine(options)\n"
        "os.environ['CUDA_VISIBLE_DEVICES'] = '0'\n"
        "engine = prepared.start()\n"
        "async def talk():\n"
        "    async for _ in engine.generate([[40, 41, 42]], Sampling(max_tokens=8)):\n"
        "        pass\n"
        "    await engine.close()\n"
        "asyncio.run(talk())\n"
    )
    subprocess.run([sys.executable, "-c", program, tiny_folder, quantization], check=True)
