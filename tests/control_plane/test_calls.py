"""Calls of classes, by Modal's own client, of containers that run Modal's own runtime."""

import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import modal
import pytest

from tests.control_plane.running import REPOSITORY, ControlPlane

MIB = 2**20


@pytest.fixture(scope="module")
def worker(sample: ControlPlane, modal_client: modal.Client) -> Any:
    """The sample's class."""
    return modal.Cls.from_name("sample", "Worker", client=modal_client)()


def test_a_container_has_what_it_was_given_and_nothing_else(worker: Any) -> None:
    about = worker.about.remote()
    variables = about["variables"]
    assert about["hooks"] == ["load", "wake"]
    assert about["penstock"] == "/root/penstock/__init__.py"
    assert about["here"] == "/root"
    assert {"penstock", "sample_app.py"} <= set(about["root"]) <= {"penstock", "sample_app.py", ".pyenv", ".local"}
    assert not [path for path in about["path"] if path.endswith(("/main", "/shared"))]
    assert variables["FROM_IMAGE"] == "yes"
    assert variables["FROM_SECRET"] == "first"
    assert variables["OMP_NUM_THREADS"] == "1"
    assert variables["MODAL_IDENTITY_TOKEN"].count(".") == 2
    ours = {"PATH", "HOME", "LC_CTYPE", "OMP_NUM_THREADS", "SAMPLE_VERSION", "FROM_IMAGE", "FROM_SECRET"}
    assert {name for name in variables if not re.match("MODAL_|PYTHON", name)} <= ours


def test_a_result_comes_back(worker: Any) -> None:
    assert worker.double.remote(21) == 42


def test_items_come_as_they_are_yielded(worker: Any) -> None:
    assert list(worker.count.remote_gen(5)) == [0, 1, 2, 3, 4]


def test_an_exception_keeps_its_type_and_its_place(worker: Any) -> None:
    with pytest.raises(ValueError, match="as it was") as caught:
        worker.fail.remote("as it was")
    assert "sample_app.py" in str([entry.path for entry in caught.traceback])


def test_a_map_keeps_its_order(worker: Any) -> None:
    assert list(worker.double.map(range(30))) == [2 * number for number in range(30)]


def test_a_starmap_takes_its_arguments_apart(worker: Any) -> None:
    assert list(worker.double.starmap([(1,), (2,)])) == [2, 4]


def test_spawned_calls_are_got_later(worker: Any, modal_client: modal.Client) -> None:
    calls = [worker.double.spawn(number) for number in (1, 2)]
    assert modal.FunctionCall.gather(*calls) == [2, 4]
    assert modal.FunctionCall.from_id(calls[0].object_id, client=modal_client).get(timeout=60) == 2


def test_a_call_that_takes_longer_times_out_at_the_client(worker: Any) -> None:
    call = worker.rest.spawn()
    with pytest.raises(TimeoutError):
        call.get(timeout=0)
    call.cancel()


def test_cancelling_reaches_the_coroutine(worker: Any, sample: ControlPlane, modal_client: modal.Client) -> None:
    items = worker.until_cancelled.remote_gen("cancelled")
    call = modal.FunctionCall.from_id(next(items), client=modal_client)
    call.cancel()
    mark = sample.volume("weights") / "cancelled"
    sample.wait(lambda _: mark.exists() and mark.read_text() == "cancelled", "the coroutine was cancelled")
    with pytest.raises(modal.exception.RemoteError):
        list(items)


def test_containers_are_filled_up_and_a_call_that_waits_is_cancelled_at_once(worker: Any, sample: ControlPlane) -> None:
    busy = [worker.rest.spawn() for _ in range(8)]  # all that two containers take
    sample.wait(lambda plane: _running(plane) == 8, "both containers are full")
    waiting = worker.double.spawn(1)
    waiting.cancel()
    with pytest.raises(modal.exception.RemoteError):
        waiting.get(timeout=60)
    for call in busy:
        call.cancel()
    for call in busy:
        with pytest.raises(modal.exception.RemoteError):
            call.get(timeout=60)


def test_large_arguments_results_and_items_are_blobs(worker: Any, sample: ControlPlane) -> None:
    before = sample.state()["rpcs"].get("BlobCreate", 0)
    data = bytes(range(256)) * (3 * MIB // 256)
    assert worker.echo.remote(data) == data
    assert worker.echo.spawn(b"x" * 20_000).get(timeout=60) == b"x" * 20_000  # more than 8 KiB, spawned
    assert [len(item) for item in worker.yield_large.remote_gen(3 * MIB)] == [3 * MIB, 3 * MIB]
    assert sample.state()["rpcs"]["BlobCreate"] >= before + 6


def test_each_parameter_has_its_own_containers(sample: ControlPlane, modal_client: modal.Client) -> None:
    named = modal.Cls.from_name("sample", "Named", client=modal_client)
    first, second, nobody = (named(name="a").hello.remote(), named(name="b").hello.remote(), named().hello.remote())
    assert [text.partition(" ")[0] for text in (first, second, nobody)] == ["a", "b", "nobody"]
    assert named(name="a").hello.remote() == first
    assert len(sample.containers("Named.*")) == 3


def test_options_make_a_variant(sample: ControlPlane, modal_client: modal.Client) -> None:
    named = modal.Cls.from_name("sample", "Named", client=modal_client)
    alone = named.with_options(gpu="L4", max_containers=1).with_concurrency(max_inputs=2)
    assert alone(name="c").hello.remote().startswith("c in ta-")


def test_a_function_fails_is_tried_again_and_calls_another(sample: ControlPlane, modal_client: modal.Client) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"from this machine")

        def log_message(self, *_: object) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        sample.let_reach(server.server_port)
        tries = modal.Function.from_name("sample", "tries", client=modal_client)
        assert tries.remote(f"http://127.0.0.1:{server.server_port}/") == {
            "wrote": False,
            "tried": "once",
            "added": (REPOSITORY / "LICENSE").read_text(),
            "doubled": 8,
            "fetched": b"from this machine",
        }
        thread.join()


def test_a_stopped_app_is_not_found(sample: ControlPlane, modal_client: modal.Client) -> None:
    sample.modal("app", "stop", "--yes", "sample")
    sample.wait(lambda plane: _states(plane) == {"dead"}, "all containers have ended")
    with pytest.raises(modal.exception.NotFoundError):
        modal.Cls.from_name("sample", "Worker", client=modal_client).hydrate()


def _states(plane: ControlPlane) -> set[str]:
    return {each["state"] for each in plane.state()["containers"]}


def _running(plane: ControlPlane) -> int:
    return sum(len(each["inputs"]) for each in plane.containers("Worker.*"))
