"""`penstock batch run` as a user runs it: real processes, the demo model, and whatever may end them."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.service import PATIENCE, wait_for
from tests.integration.cli.command import PENSTOCK, ROOT, Result, environment, json_of, penstock, refused
from tests.integration.cli.lines import COMPLETIONS, EMBEDDINGS, TOO_LONG, ids, line, read, sums, used, write
from tests.integration.cli.processes import processes_of


class Ran:
    """A run that came to its end."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self.source = folder / "in.jsonl"
        self.output = folder / "out.jsonl"
        self.errors = folder / "out.errors.jsonl"
        long = [{"role": "user", "content": TOO_LONG}]
        mixed = [line(3), line(1, COMPLETIONS, prompt="The gate", max_tokens=5), line(2, messages=long)]
        write(self.source, [*mixed, line(4, EMBEDDINGS, input="The gate is the edge."), line(5, n=2)])
        self.result = self.again()

    def again(self, *options: str) -> Result:
        """The same command."""
        return penstock("batch", "run", self.source, "-o", self.output, "--data", self.data, *options)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Ran:
    """A run of a few lines of all kinds, one of which fails."""
    return Ran(tmp_path_factory.mktemp("ran"))


def usage_of(data: Path) -> tuple[int, int, int, str]:
    """Requests, tokens of prompts and new ones, and dollars, by the ledger."""
    total = json_of("usage", "--data", data)["total"]
    return total["requests"], total["prompt_tokens"], total["completion_tokens"], total["cost_usd"]


def test_each_line_is_answered_once_in_the_inputs_order(ran: Ran) -> None:
    assert ran.result.returncode == 3, ran.result
    answers, errors = read(ran.output), read(ran.errors)
    assert (ids(answers), ids(errors)) == (["r3", "r1", "r4", "r5"], ["r2"])
    assert {answer["response"]["status_code"] for answer in answers} == {200}
    assert answers[0]["response"]["body"]["choices"][0]["message"]["content"] == "3 plus 2 is 5."
    assert len(answers[3]["response"]["body"]["choices"]) == 2
    (failed,) = errors
    assert failed["response"]["status_code"] == 400
    assert failed["response"]["body"]["error"]["code"] == "context_length_exceeded"


def test_what_was_used_is_the_sum_of_the_lines_and_is_said(ran: Ran) -> None:
    requests, prompt, completion, cost = usage_of(ran.data)
    assert (prompt, completion) == used(read(ran.output))
    assert requests >= 4
    assert "5 lines: 4 answered, 1 error\n" in ran.result.stdout
    assert f"{prompt:,} tokens in (" in ran.result.stdout
    assert f"{completion:,} out: ${cost}\n" in ran.result.stdout
    assert f"in {ran.output} and {ran.errors}\n" in ran.result.stdout


def test_how_far_it_was_is_said_in_lines_where_there_is_no_terminal(ran: Ran) -> None:
    *_, last = ran.result.stderr.splitlines()
    assert last == "completed: 5 of 5 lines, 1 error"
    assert "\x1b" not in ran.result.stderr


def test_nothing_runs_on_and_the_copies_are_gone(ran: Ran) -> None:
    assert processes_of(ran.data) == {}
    (run,) = (ran.data / "runs").iterdir()
    assert not (run / "objects").exists()
    assert ran.output.stat().st_mode & 0o777 == ran.source.stat().st_mode & 0o777
    for path in [ran.data, *ran.data.rglob("*")]:
        assert path.stat().st_mode & 0o077 == 0, path


def test_the_same_command_again_has_nothing_to_do(ran: Ran) -> None:
    before, content = usage_of(ran.data), ran.output.read_bytes()
    result = ran.again()
    assert (result.returncode, result.stderr) == (3, "")
    assert result.stdout == f"{ran.output} has the answers already; --again runs it again.\n"
    assert (usage_of(ran.data), ran.output.read_bytes()) == (before, content)


def test_where_the_answers_have_gone_they_are_made_again(ran: Ran) -> None:
    before = usage_of(ran.data)
    ran.output.unlink()
    ran.errors.unlink()
    assert ran.again("--errors", str(ran.errors)).returncode == 3
    assert (len(read(ran.output)), len(read(ran.errors))) == (4, 1)
    assert usage_of(ran.data)[1] == 2 * before[1]


def test_an_input_that_is_wrong_is_told_by_line_and_nothing_is_run(tmp_path: Path) -> None:
    bad = [line(number, messages=[]) for number in range(120)]
    source = write(tmp_path / "in.jsonl", [line(1), b"{", *bad, line(1)])
    result = penstock("batch", "run", source, "-o", tmp_path / "out.jsonl", "--data", tmp_path / "data")
    assert (result.returncode, result.stdout) == (2, ""), result
    told = [said for said in result.stderr.splitlines() if said.startswith(f"{source}:")]
    assert len(told) == 100
    assert told[0].startswith(f"{source}:2: This line is not valid JSON")
    assert told[1].startswith(f"{source}:3: messages: ")
    assert result.stderr.splitlines()[-1] == "... and more: only the first 100 are told"
    assert not (tmp_path / "out.jsonl").exists()
    assert json_of("usage", "--data", tmp_path / "data")["data"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nothing.jsonl", "-o", "out"), "nothing.jsonl: no such file"),
        ((".", "-o", "out"), ".: not a file"),
        (("README.md", "-o", "README.md"), "the input, the answers and the errors must be three files"),
        (("README.md", "-o", "nowhere/out"), "nowhere/out: cannot be written there"),
        (("README.md", "-o", "docs"), "docs: cannot be written there"),
        (("README.md",), "Missing option '--output' / '-o'."),
        (("README.md", "-o", "out.jsonl", "--key-id", "nobody"), "--key-id nobody: no such key"),
        (("README.md", "-o", "out.jsonl", "--model", "nothing"), "--model nothing: neither a model"),
    ],
)
def test_what_cannot_be_done_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    result = penstock("batch", "run", *arguments, "--data", tmp_path / "data")
    assert result.stdout == ""
    assert result.stderr.startswith(f"penstock: {said}")
    assert (result.returncode in {1, 2}, result.stderr.count("\n")) == (True, 1)


def test_an_empty_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").touch()
    result = penstock("batch", "run", tmp_path / "in.jsonl", "-o", tmp_path / "out", "--data", tmp_path / "data")
    assert refused(result, 2) == f"{tmp_path / 'in.jsonl'}: empty"


@contextmanager
def running(source: Path, output: Path, data: Path, *options: str) -> Iterator["subprocess.Popen[str]"]:
    """A run to be ended by the test; killed where it was not."""
    command = [PENSTOCK, "batch", "run", str(source), "-o", str(output), "--data", str(data), *options]
    with output.with_suffix(".err").open("w") as err:
        process = subprocess.Popen(command, stderr=err, cwd=ROOT, env=environment())
    try:
        yield process  # type: ignore[misc]
    finally:
        process.kill()
        process.wait()


def lines_done(output: Path) -> int:
    """The lines that a run has said are done."""
    said = [each.split() for each in output.with_suffix(".err").read_text().splitlines() if " of " in each]
    return int(said[-1][-6].replace(",", "")) if said else 0


def ended(how: signal.Signals, source: Path, output: Path, data: Path) -> int:
    """End a run by a signal once it has done some lines; its exit code, when nothing runs on."""
    with running(source, output, data) as process:
        before = lines_done(output)
        wait_for("some lines", lambda: lines_done(output) > before, 2 * PATIENCE)
        os.kill(process.pid, how)
        code = process.wait(PATIENCE)
    wait_for("the end of all", lambda: not processes_of(data))
    assert not output.exists()
    return code


def test_whatever_ends_it_the_same_command_goes_on_where_it_was(tmp_path: Path) -> None:
    data, source, output = tmp_path / "data", write(tmp_path / "in.jsonl", sums(400)), tmp_path / "out.jsonl"
    assert ended(signal.SIGKILL, source, output, data) == -signal.SIGKILL
    assert ended(signal.SIGINT, source, output, data) == 130
    assert output.with_suffix(".err").read_text().endswith("Stopped. The same command goes on where it was.\n")
    result = penstock("batch", "run", source, "-o", output, "--data", data, "--workers", "2")
    assert result.returncode == 0, result
    assert "in progress: 0 of 400 lines" not in result.stderr
    answers = read(output)
    assert ids(answers) == [f"r{number}" for number in range(400)]
    requests, prompt, completion, _ = usage_of(data)
    assert (requests, prompt, completion) == (400, *used(answers))
    assert not output.with_suffix(".errors.jsonl").exists()


def test_the_same_is_not_run_twice_at_once(tmp_path: Path) -> None:
    data, source, output = tmp_path / "data", write(tmp_path / "in.jsonl", sums(2)), tmp_path / "out.jsonl"
    with running(source, output, data):
        wait_for("its folder", lambda: list(data.glob("runs/*/batch")))
        result = penstock("batch", "run", source, "-o", output, "--data", data)
    assert refused(result) == "the same `penstock batch run` is running already"


def test_a_model_that_cannot_be_loaded_is_one_line(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        (broken / file).write_bytes((ROOT / "models" / "demo" / file).read_bytes())
    (broken / "model.safetensors").write_bytes(b"not weights")
    source = write(tmp_path / "in.jsonl", [line(1, model="broken")])
    out = tmp_path / "out.jsonl"
    result = penstock("batch", "run", source, "-o", out, "--data", tmp_path / "data", "--model", broken)
    assert result.returncode == 1
    *_, last = result.stderr.splitlines()
    assert last.startswith(f"penstock: the model cannot be loaded: {broken}: weights: ")
    wait_for("the end of all", lambda: not processes_of(tmp_path / "data"))
