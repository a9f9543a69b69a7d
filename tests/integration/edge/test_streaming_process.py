"""The process of the streaming runtime: its start, its failures to start, SnapStart, its end, and its memory."""

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import orjson
import pytest

from tests.integration.edge.lambda_runtime import ROOT, SCRIPTED, WRAPPER, Runtime, running
from tests.integration.edge.scripted_app import SECRET

pytestmark = pytest.mark.anyio

MODULE = SCRIPTED.rpartition(".")[0]
HOOKS = """
import os
def hook(name, fails=""):
    with open(os.path.join(os.environ["PLACE"], "hooks"), "a") as file:
        print(name, file=file)
    if os.environ.get("HOOK_FAILS") == name:
        raise RuntimeError("hush-a-value-of-a-setting")
def get_before_snapshot():
    return [(hook, ("before, the first",), {}), (hook, (), {"name": "before"})]
def get_after_restore():
    return [(hook, ("after",), {}), (hook, ("after, the second",), {})]
"""


def test_the_wrapper_may_be_run() -> None:
    mode = (ROOT / WRAPPER).stat().st_mode
    assert mode & stat.S_IXUSR
    assert mode & stat.S_IXOTH


@pytest.mark.parametrize(
    ("handler", "fails", "kind", "text"),
    [
        (SCRIPTED, "by a setting", "Runtime.ConfigError", "PENSTOCK_GPU_URL: must be an URL"),
        (SCRIPTED, "unforeseen", "Runtime.ValueError", "ValueError; the log says where"),
        (f"{MODULE}.missing", "", "Runtime.AttributeError", "AttributeError; the log says where"),
        ("no.such.handler", "", "Runtime.ModuleNotFoundError", "No module named 'no'"),
        ("nonsense", "", "Runtime.ValueError", "ValueError; the log says where"),
    ],
)
async def test_a_function_that_cannot_start_says_why(
    tmp_path: Path, handler: str, fails: str, kind: str, text: str
) -> None:
    async with running(tmp_path, handler, FAILS=fails) as runtime:
        assert await runtime.ended() == 1
        error = runtime.api.init_error.result()
    assert (error["kind"], error["errorType"], error["errorMessage"]) == (kind, kind, text)
    assert runtime.api.asked == 0
    assert SECRET not in runtime.log()
    [line] = runtime.logged("init_failed")
    assert line["exception"][0]["type"] == kind.removeprefix("Runtime.")


@pytest.mark.parametrize("life", ["raises", "fails"])
async def test_a_start_up_that_fails_is_an_error_of_the_start(tmp_path: Path, life: str) -> None:
    async with running(tmp_path, LIFE=life) as runtime:
        assert await runtime.ended() == 1
        assert runtime.api.init_error.result()["errorMessage"] == "the app's start-up failed"
    assert runtime.api.asked == 0
    assert SECRET not in runtime.log()


async def test_the_edge_names_a_wrong_setting_and_shows_none(tmp_path: Path) -> None:
    async with running(tmp_path, "functions.edge.handler.handler", PENSTOCK_TICKET_KEYS="hush:base64!") as runtime:
        assert await runtime.ended() == 1
        error = runtime.api.init_error.result()
    assert error["kind"] == "Runtime.ConfigError"
    assert error["errorMessage"].startswith("PENSTOCK_")
    assert "hush" not in error["errorMessage"] + runtime.log()


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
async def test_the_app_lives_once(tmp_path: Path, signum: signal.Signals) -> None:
    async with running(tmp_path) as runtime:
        answers = [orjson.loads((await runtime.get("/echo").done()).body) for _ in range(3)]
        assert len({answer["loop"] for answer in answers}) == 1
        assert answers[0]["state"] == {"since": "the start"}
        assert (tmp_path / "lives").read_text() == "started\n"
        runtime.process.send_signal(signum)
        assert await runtime.ended() == 0
    assert (tmp_path / "lives").read_text() == "started\nstopped\n"
    assert runtime.api.wrong == []


async def test_the_function_is_woken_before_every_request(tmp_path: Path) -> None:
    async with running(tmp_path) as runtime:
        for count in (1, 2, 3):
            await runtime.works()
            assert (tmp_path / "woken").read_text() == "\n" * count


async def test_an_app_that_does_not_stop_is_cut(tmp_path: Path) -> None:
    async with running(tmp_path, LIFE="goes on") as runtime:
        await runtime.works()
        runtime.process.send_signal(signal.SIGTERM)
        assert await runtime.ended() == 0
    assert len(runtime.logged("shutdown_cut")) == 1


async def test_the_end_of_the_process_ends_its_invocation_with_a_word(tmp_path: Path) -> None:
    async with running(tmp_path) as runtime:
        cut = runtime.get("/wait_in_events")
        await cut.wait_for(b"data: ")
        runtime.process.send_signal(signal.SIGTERM)
        assert b"edge_stopping" in (await cut.done()).body
        assert cut.trailers["lambda-runtime-function-error-type"] == "Runtime.Stopping"
        assert await runtime.ended() == 0
    assert (tmp_path / "lives").read_text() == "started\nstopped\n"


async def test_a_runtime_api_that_is_gone_ends_the_process(tmp_path: Path) -> None:
    async with running(tmp_path, AWS_LAMBDA_RUNTIME_API="127.0.0.1:9") as runtime:
        assert await runtime.ended() == 1
    assert len(runtime.logged("runtime_api_failed")) == 1


def snapstart(place: Path, **environment: str) -> dict[str, str]:
    """The environment under SnapStart, where `snapshot_restore_py` is where the managed runtime has it."""
    (place / "runtime").mkdir()
    (place / "runtime" / "snapshot_restore_py.py").write_text(HOOKS)
    return {
        "AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start",
        "LAMBDA_RUNTIME_DIR": str(place / "runtime"),
        **environment,
    }


async def ready(runtime: Runtime) -> None:
    """Wait until it may be snapshotted."""
    async with asyncio.timeout(30):
        await runtime.api.snapshot.wait()


async def test_the_hooks_are_run_around_the_snapshot(tmp_path: Path) -> None:
    async with running(tmp_path, **snapstart(tmp_path)) as runtime:
        await ready(runtime)
        assert (tmp_path / "hooks").read_text() == "before\nbefore, the first\n"
        assert (tmp_path / "lives").read_text() == "started\n"
        assert runtime.api.asked == 0
        runtime.api.restored.set()
        await runtime.works()
        assert (tmp_path / "hooks").read_text().endswith("before, the first\nafter\nafter, the second\n")
        assert runtime.api.connections == 2  # none is used that was opened before the snapshot


async def test_without_their_module_there_are_no_hooks(tmp_path: Path) -> None:
    async with running(tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="snap-start") as runtime:
        await ready(runtime)
        runtime.api.restored.set()
        await runtime.works()


async def test_without_snapstart_no_hook_is_run(tmp_path: Path) -> None:
    environment = snapstart(tmp_path, AWS_LAMBDA_INITIALIZATION_TYPE="on-demand")
    async with running(tmp_path, **environment) as runtime:
        await runtime.works()
    assert not (tmp_path / "hooks").exists()
    assert not runtime.api.snapshot.is_set()


async def test_a_hook_that_fails_before_the_snapshot_is_an_error_of_the_start(tmp_path: Path) -> None:
    async with running(tmp_path, **snapstart(tmp_path, HOOK_FAILS="before")) as runtime:
        assert await runtime.ended() == 64
        error = runtime.api.init_error.result()
    assert error["kind"] == error["errorType"] == "Runtime.BeforeSnapshotError"
    assert not runtime.api.snapshot.is_set()
    assert SECRET not in runtime.log() + error["errorMessage"]


async def test_a_hook_that_fails_after_the_restoration_is_told(tmp_path: Path) -> None:
    async with running(tmp_path, **snapstart(tmp_path, HOOK_FAILS="after")) as runtime:
        await ready(runtime)
        runtime.api.restored.set()
        assert await runtime.ended() == 65
        error = runtime.api.restore_error.result()
    assert error["kind"] == error["errorType"] == "Runtime.AfterRestoreError"
    assert runtime.api.asked == 0
    assert SECRET not in runtime.log() + error["errorMessage"]


def resident(pid: int) -> int:
    """The process's memory, in bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(sys.platform != "linux", reason="no Linux")
async def test_a_thousand_invocations_do_not_make_it_grow(tmp_path: Path) -> None:
    async with running(tmp_path) as runtime:

        async def invoke(count: int) -> int:
            paths = ("/echo", "/crash_in_events", "/headers", "/crash")
            for number in range(count):
                await runtime.get(paths[number % len(paths)]).done()
            pid = orjson.loads((await runtime.get("/tiny").done()).body)
            return resident(pid)

        warm = await invoke(200)
        assert await invoke(1_000) - warm < 4 << 20
        assert runtime.api.connections == 1
        assert runtime.api.wrong == []
