"""`penstock serve` as a newcomer runs it: the edge and the GPU process themselves, with a tiny model."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
from openai.types.chat import ChatCompletionMessageParam
from transformers import LlamaConfig

from tests.e2e.service import PATIENCE, Service, serving, wait_for
from tests.integration.cli.command import PENSTOCK, ROOT, done, environment, json_of, penstock, refused
from tests.integration.cli.processes import processes_of as all_processes_of
from tests.tiny_model import make_tiny_model, make_tokenizer, tiny_sizes

QUESTION: list[ChatCompletionMessageParam] = [{"role": "user", "content": "go"}]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random model whose answer goes on for many seconds."""
    tokenizer = make_tokenizer()
    sizes = {**tiny_sizes(tokenizer), "num_hidden_layers": 8, "max_position_embeddings": 16_384}
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return make_tiny_model(folder, config=LlamaConfig(**sizes), tokenizer=tokenizer, endless=True)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, model: Path) -> Iterator[Service]:
    """One that lives through several tests, and is then interrupted."""
    with serving(tmp_path_factory.mktemp("serve") / "data", "--model", str(model)) as running:
        yield running
    assert running.process.returncode == 0
    assert "Traceback" not in running.output.read_text()
    assert processes_of(running.data) == {}


def processes_of(data: Path) -> dict[str, int]:
    """Each process that was started for a data directory, by what it is."""
    return {kind: pid for pid, kind in all_processes_of(data).items()}


def answers(service: Service) -> bool:
    """Whether a request is answered now."""
    try:
        done = service.client().chat.completions.create(model="tiny", messages=QUESTION, max_tokens=2)
    except (openai.InternalServerError, openai.APIConnectionError):
        return False
    return done.choices[0].message.content is not None


def text_of(service: Service) -> str:
    return service.output.read_text()


def test_the_first_start_says_all_there_is_to_know(service: Service) -> None:
    text = wait_for("the last line", lambda: "Ctrl-C stops everything." in text_of(service) and text_of(service))
    assert f"The edge is ready on {service.url}" in text
    assert f"{service.url}/v1" in text
    assert "(not in penstock.toml: tokens are counted, at no price)" in text
    assert (service.data / "key").read_text().strip() == service.key
    assert text.count(f"Key     {service.key}") == 1
    assert "\x1b" not in text


def test_what_it_prints_can_be_pasted(service: Service) -> None:
    lines = text_of(service).splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("curl "))
    command = "\n".join(lines[start : lines.index("", start)])
    # The tiny model's answer would go on for long: its first event is enough.
    pasted = subprocess.run(["bash", "-c", f"{command} | head -c 6"], check=True, capture_output=True, timeout=PATIENCE)
    assert pasted.stdout == b"data: "
    start = lines.index("from openai import OpenAI")
    program = "\n".join(lines[start : lines.index("", start)]).replace("stream=True,", "stream=True, max_tokens=5,")
    assert done(run_python(program)) != ""


def run_python(program: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-c", program]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=PATIENCE, cwd=ROOT)


def test_chat_and_usage_work_right_after_it(service: Service) -> None:
    before = json_of("usage", "--data", service.data)["total"]
    process = subprocess.Popen(
        [PENSTOCK, "chat", "--url", f"{service.url}/v1", "--data", str(service.data), "go"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )
    assert process.stdout is not None
    assert process.stdout.read(1) != b""
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=PATIENCE)
    assert (process.returncode, error) == (130, b"")
    after = wait_for("the usage", lambda: more_usage(service, before["requests"]))
    assert after["completion_tokens"] > before["completion_tokens"]
    assert after["cost_usd"] == "0"


def more_usage(service: Service, requests: int) -> dict[str, int] | None:
    total: dict[str, int] = json_of("usage", "--data", service.data)["total"]
    return total if total["requests"] > requests else None


def test_a_new_key_opens_and_a_revoked_one_does_not(service: Service) -> None:
    made = json_of("keys", "create", "--data", service.data, "--name", "second")
    assert service.client(made["key"]).models.list().data[0].id == "tiny"
    service.run("keys", "revoke", made["id"])
    wait_for("the revocation", lambda: raises(openai.AuthenticationError, service.client(made["key"]).models.list))


def raises(kind: type[Exception], call: Callable[[], object]) -> bool:
    try:
        call()
    except kind:
        return True
    return False


@pytest.mark.parametrize(("which", "name"), [("gpu", "GPU process"), ("edge", "edge")])
def test_a_killed_process_is_started_again_and_answers(service: Service, which: str, name: str) -> None:
    wait_for("an answer", lambda: answers(service))
    first = processes_of(service.data)
    os.kill(first[which], signal.SIGKILL)
    wait_for("the line", lambda: f"The {name} was killed by SIGKILL. It is started again in" in text_of(service))
    wait_for("the next life", lambda: f"The {name} is ready again" in text_of(service))
    wait_for("an answer", lambda: answers(service))
    second = processes_of(service.data)
    assert [which == key for key in ("gpu", "edge")] == [first[key] != second[key] for key in ("gpu", "edge")]


def test_the_files_are_the_owners_alone(service: Service) -> None:
    for path in [service.data, *service.data.rglob("*")]:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert mode == 0o700 if path.is_dir() else mode & 0o077 == 0, path


def test_a_second_one_on_the_same_directory_is_one_line(service: Service) -> None:
    said = refused(penstock("serve", "--port", "0", "--data", service.data))
    assert said == f"another `penstock serve` is using {service.data}"


def test_a_port_in_use_is_one_line(service: Service, tmp_path: Path) -> None:
    port = service.url.rpartition(":")[2]
    said = refused(penstock("serve", "--port", port, "--data", tmp_path / "data"))
    assert said.startswith(f"port {port} on 127.0.0.1 is in use")


def test_an_address_of_another_machine_is_one_line(tmp_path: Path) -> None:
    assert "192.0.2.1" in refused(penstock("serve", "--host", "192.0.2.1", "--data", tmp_path / "data"))
    assert "nowhere.invalid" in refused(penstock("serve", "--host", "nowhere.invalid", "--data", tmp_path / "data"))


def test_a_model_that_is_nothing_is_one_line(tmp_path: Path) -> None:
    said = refused(penstock("serve", "--port", "0", "--data", tmp_path / "data", "--model", "nothing"))
    assert "neither a model of penstock.toml (demo" in said


def test_an_unreadable_model_is_one_line(tmp_path: Path, model: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (broken / file).write_bytes((model / file).read_bytes())
    (broken / "model.safetensors").write_bytes(b"not weights")
    result = penstock("serve", "--port", "0", "--data", tmp_path / "data", "--model", broken)
    assert result.returncode == 1
    assert result.stderr.startswith("penstock: the model cannot be read: ")
    assert result.stderr.count("\n") == 1
    assert "started again" not in result.stdout
    assert processes_of(tmp_path / "data") == {}


@contextmanager
def interrupted(data: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A `serve` to be ended by the test; killed where it was not."""
    command = [PENSTOCK, "serve", "--port", "0", "--data", str(data), *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT, env=environment()
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_later_start_shows_no_key_and_sigterm_is_a_clean_end(tmp_path: Path, model: Path) -> None:
    data = tmp_path / "data"
    with serving(data, "--model", str(model)) as first:
        key = first.key
    with interrupted(data, "--model", str(model)) as process:
        assert process.stdout is not None
        text = "".join(iter(process.stdout.readline, "Ctrl-C stops everything.\n"))
        assert "the first one is kept in" in text
        assert key not in text
        process.terminate()
        rest, _ = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest) == (0, "Stopping. Ctrl-C again kills at once.\n")
    assert processes_of(data) == {}


def test_ctrl_c_while_it_starts_is_a_clean_end(tmp_path: Path) -> None:
    with interrupted(tmp_path / "data") as process:
        wait_for("all processes", lambda: len(processes_of(tmp_path / "data")) == 3)
        process.send_signal(signal.SIGINT)
        text, _ = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0
    assert "Traceback" not in text
    assert processes_of(tmp_path / "data") == {}


def test_a_running_answer_is_settled_when_serving_ends(tmp_path: Path, model: Path) -> None:
    with serving(tmp_path / "data", "--model", str(model)) as service:
        stream = service.client().chat.completions.create(model="tiny", messages=QUESTION, stream=True, temperature=0)
        assert [next(stream) for _ in range(5)]
        service.process.send_signal(signal.SIGINT)
        with pytest.raises(openai.APIError):
            list(stream)
        assert service.process.wait(PATIENCE) == 0
    (row,) = json_of("usage", "--data", service.data)["data"]
    assert row["requests"] == 1
    assert row["completion_tokens"] >= 3


@pytest.mark.parametrize("how", ["the supervisor is killed", "Ctrl-C twice"])
def test_no_process_outlives_its_supervisor(tmp_path: Path, model: Path, how: str) -> None:
    with serving(tmp_path / "data", "--model", str(model)) as service:
        stream = service.client().chat.completions.create(model="tiny", messages=QUESTION, stream=True, temperature=0)
        next(stream)
        assert len(processes_of(service.data)) == 3
        if how == "Ctrl-C twice":
            service.process.send_signal(signal.SIGINT)
            wait_for("the first Ctrl-C", lambda: "Stopping." in text_of(service))
            service.process.send_signal(signal.SIGINT)
        else:
            service.process.kill()
        code = service.process.wait(PATIENCE)
        wait_for("the end of all", lambda: not processes_of(service.data))
        assert code == (130 if how == "Ctrl-C twice" else -signal.SIGKILL)
