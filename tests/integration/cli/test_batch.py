"""`penstock batch` and `penstock files` against `penstock serve`, whose batches OpenAI's client makes, too."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.e2e.service import PATIENCE, Service, serving, wait_for
from tests.integration.cli.command import PENSTOCK, ROOT, Result, done, environment, json_of, penstock, refused
from tests.integration.cli.lines import CHAT, TOO_LONG, ids, line, read, sums, used, write
from tests.integration.cli.processes import processes_of


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The demo model, served; nothing of it runs on at the end."""
    with serving(tmp_path_factory.mktemp("serve") / "data") as running:
        yield running
    assert running.process.returncode == 0
    assert "Traceback" not in running.output.read_text()
    assert processes_of(running.data) == {}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A few lines, one of which will be an error."""
    long = [{"role": "user", "content": TOO_LONG}]
    return write(tmp_path / "in.jsonl", [*sums(6), line(6, messages=long)])


def at(service: Service) -> tuple[str | Path, ...]:
    """The options that say where the service is."""
    return ("--url", f"{service.url}/v1", "--data", service.data)


def usage_of(service: Service) -> tuple[int, int]:
    """The tokens so far, of prompts and new ones."""
    total = json_of("usage", "--data", service.data)["total"]
    return total["prompt_tokens"], total["completion_tokens"]


def test_a_start_has_a_batch_machine_and_no_worker_of_it(service: Service) -> None:
    wait_for("the last line", lambda: "Ctrl-C stops everything." in service.output.read_text())
    assert sorted(processes_of(service.data).values()) == ["edge", "gpu", "machine"]


def test_openais_client_uploads_waits_and_reads(service: Service, source: Path) -> None:
    client, before = service.client(), usage_of(service)
    file = client.files.create(file=source, purpose="batch")
    made = client.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    ended: Any = wait_for("the end", lambda: _ended(client.batches.retrieve(made.id)), 2 * PATIENCE)
    assert (ended.status, ended.request_counts.completed, ended.request_counts.failed) == ("completed", 6, 1)
    answers = [orjson.loads(text) for text in client.files.content(ended.output_file_id).content.splitlines()]
    assert ids(answers) == [f"r{number}" for number in range(6)]
    prompt, completion = used(answers)
    assert (ended.usage.input_tokens, ended.usage.output_tokens) == (prompt, completion)
    assert usage_of(service) == (before[0] + prompt, before[1] + completion)
    (failed,) = client.files.content(ended.error_file_id).content.splitlines()
    assert orjson.loads(failed)["custom_id"] == "r6"


def _ended(batch: Any) -> Any:
    return batch if batch.status not in ("validating", "in_progress", "finalizing") else None


def test_submit_and_wait(service: Service, source: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.jsonl"
    submitted = penstock("batch", "submit", source, "--metadata", "a=b=c", *at(service))
    batch_id = done(submitted).strip()
    assert batch_id.startswith("batch_")
    waited = penstock("batch", "wait", batch_id, "-o", output, *at(service))
    assert waited.returncode == 3, waited
    assert f"{batch_id}: completed\nlines    7: 6 answered, 1 errors\n" in waited.stdout
    assert waited.stderr.splitlines()[-1] == "completed: 7 of 7 lines, 1 error"
    assert ids(read(output)) == [f"r{number}" for number in range(6)]
    assert ids(read(tmp_path / "out.errors.jsonl")) == ["r6"]
    told = orjson.loads(done(penstock("batch", "status", batch_id, "--json", *at(service))))
    assert (told["status"], told["endpoint"], told["metadata"]) == ("completed", CHAT, {"a": "b=c"})
    assert batch_id in done(penstock("batch", "list", *at(service)))
    assert "completed" in refused(penstock("batch", "cancel", batch_id, *at(service)))


def test_files(service: Service, source: Path, tmp_path: Path) -> None:
    file_id = done(penstock("files", "upload", source, *at(service))).strip()
    assert file_id in done(penstock("files", "list", *at(service)))
    assert done(penstock("files", "content", file_id, *at(service))) == source.read_text()
    done(penstock("files", "content", file_id, "-o", tmp_path / "copy", *at(service)))
    assert (tmp_path / "copy").read_bytes() == source.read_bytes()
    assert done(penstock("files", "delete", file_id, *at(service))) == f"removed {file_id}\n"
    assert file_id in refused(penstock("files", "content", file_id, *at(service)))


def test_an_input_that_is_wrong_is_told_by_line(service: Service, tmp_path: Path) -> None:
    source = write(tmp_path / "in.jsonl", [line(1), line(1), line(2, messages=[])])
    result = penstock("batch", "submit", source, "--wait", *at(service))
    assert result.returncode == 1
    told = [said for said in result.stderr.splitlines() if said.startswith(f"{source}:")]
    assert [said.removeprefix(f"{source}:").partition(":")[0] for said in told] == ["2", "3"]
    assert ": failed\n" in result.stdout


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", ":1: not JSON"),
        (b"\n[]", ":2: no url: the line says none, nor does --endpoint"),
        (b" \n", ": empty"),
    ],
)
def test_a_file_whose_endpoint_nobody_says_is_not_sent(
    service: Service, tmp_path: Path, content: bytes, said: str
) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    result = penstock("batch", "submit", tmp_path / "in.jsonl", *at(service))
    assert refused(result, 2).startswith(f"{tmp_path / 'in.jsonl'}{said}")


def test_ctrl_c_leaves_the_batch_and_cancel_ends_it(service: Service, tmp_path: Path) -> None:
    source, output = write(tmp_path / "in.jsonl", sums(2_000)), tmp_path / "out.jsonl"
    batch_id = done(penstock("batch", "submit", source, *at(service))).strip()
    command = [PENSTOCK, "batch", "wait", batch_id, *map(str, at(service))]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment()) as waiting:
        assert waiting.stderr is not None
        first = waiting.stderr.readline()
        time.sleep(0.5)  # it is between two looks, or within one
        waiting.send_signal(signal.SIGINT)
        rest = waiting.stderr.read()
        assert waiting.wait(PATIENCE) == 130
    assert first
    assert rest.splitlines()[-1].startswith(f"{batch_id} goes on: `penstock batch wait` waits again")
    assert done(penstock("batch", "cancel", batch_id, *at(service))) == f"{batch_id}: cancelling\n"
    ended = penstock("batch", "wait", batch_id, "-o", output, *at(service))
    assert ended.returncode == 1
    assert f"{batch_id}: cancelled\n" in ended.stdout
    errors = read(tmp_path / "out.errors.jsonl")
    answered = ids(read(output)) if output.exists() else []
    assert sorted([*answered, *ids(errors)]) == sorted(f"r{number}" for number in range(2_000))
    assert {each["error"]["code"] for each in errors} == {"batch_cancelled"}


def test_a_batch_machine_that_is_killed_is_started_again_and_goes_on(service: Service, tmp_path: Path) -> None:
    source, before = write(tmp_path / "in.jsonl", sums(150)), usage_of(service)
    batch_id = done(penstock("batch", "submit", source, *at(service))).strip()
    wait_for("a worker", lambda: "worker" in processes_of(service.data).values())
    (machine,) = (pid for pid, kind in processes_of(service.data).items() if kind == "machine")
    os.kill(machine, signal.SIGKILL)
    waited = penstock("batch", "wait", batch_id, "-o", tmp_path / "out.jsonl", *at(service))
    assert waited.returncode == 0, waited
    assert "The batch machine was killed by SIGKILL. It is started again" in service.output.read_text()
    answers = read(tmp_path / "out.jsonl")
    assert ids(answers) == [f"r{number}" for number in range(150)]
    prompt, completion = used(answers)
    assert usage_of(service) == (before[0] + prompt, before[1] + completion)


def test_a_run_beside_it_is_another_machines(service: Service, tmp_path: Path) -> None:
    source, output, before = write(tmp_path / "in.jsonl", sums(8)), tmp_path / "out.jsonl", usage_of(service)
    known = batches_of(service)
    done(penstock("batch", "run", source, "-o", output, "--data", service.data))
    prompt, completion = used(read(output))
    assert usage_of(service) == (before[0] + prompt, before[1] + completion)
    assert batches_of(service) == known


def batches_of(service: Service) -> list[str]:
    """The batches that the API knows."""
    return [batch.id for batch in service.client().batches.list(limit=100)]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("submit", "nothing.jsonl"), 1, "nothing.jsonl"),
        (("submit", "README.md", "-o", "x"), 2, "-o and --errors go with --wait"),
        (("submit", "README.md", "--endpoint", CHAT, "--metadata", "x"), 2, "--metadata 'x': NAME=VALUE"),
        (("status", "batch_none"), 1, "batch_none"),
        (("wait", "batch_none"), 1, "batch_none"),
        (("list", "--limit", "0"), 2, "--limit"),
    ],
)
def test_what_cannot_be_done_is_one_line(service: Service, arguments: tuple[str, ...], code: int, said: str) -> None:
    result: Result = penstock("batch", *arguments, *at(service))
    assert said in refused(result, code)
